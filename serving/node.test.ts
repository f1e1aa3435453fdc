import { asc, eq } from "drizzle-orm";
import { createPublicClient, type Hex, http, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DisperserClient } from "#eigenda/index";
import { createLog } from "#schema/log";
import { answer, batchRun, channelState, chunk } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import * as commitments from "#settlement/blob/commitments";
import * as disclosures from "#settlement/blob/disclosure";
import {
  ask,
  contribute,
  eigendaKey,
  feeWei,
  finalise,
  nodeKey,
  openChannel,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
  startNode,
  texts,
} from "../engine/testing/pipeline.ts";
import { contributor, payer, token } from "../indexer/test/life.ts";
import type { Completion } from "./answer/answer.ts";
import { markers } from "./answer/citation.ts";
import { createFinalBlockReader } from "./final-block.ts";
import { openLiveIndex } from "./live-index.ts";
import { createMetrics } from "./metrics.ts";
import { readConfig } from "./payment/channel.ts";
import * as voucher from "./payment/voucher.ts";
import { unpaidKey } from "./settler/batch-run.ts";
import { createHubClient, type HubClient } from "./settler/hub-client.ts";
import { createStep, type SettlerParts } from "./settler/settler.ts";

let pipeline: Pipeline;
let node: Running;
/** A second channel of the same payer, final too. */
let spare: Hex;
/** The node builds no batches of its own: the last test settles step by step. */
const unsettled = { BATCH_RECEIPTS: "20" };

beforeAll(async () => {
  pipeline = await openPipeline();
  spare = await openChannel(pipeline, 2);
  await pipeline.world.client.mine({ blocks: 3 });
  await using _engine = await startEngine(pipeline);
  await until(
    "the chunks are there",
    async () => (await database().select().from(chunk)).length === texts.length,
  );
  node = await startNode(pipeline, unsettled);
  await until("the node retrieves", async () => (await healthOf(node)).chunks === texts.length);
});

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

describe("payment", () => {
  it("answers nobody without funds, and charges nobody it refuses", async () => {
    const { channelId } = pipeline;
    const question = "What does the harbour master keep?";
    const reasonOf = async (options: { channelId: Hex; maxWei: bigint }) => {
      const response = await ask(pipeline, node.url, { ...options, question });
      expect(response.status).toBe(402);
      return ((await response.json()) as { reason: string }).reason;
    };
    expect(await reasonOf({ channelId: keccak256("0x00"), maxWei: feeWei })).toBe("channel_unknown");
    expect(await reasonOf({ channelId, maxWei: feeWei - 1n })).toBe("voucher_too_low");
    const stranger = await openChannel(
      { ...pipeline, node: privateKeyToAccount(keccak256(toHex("stranger"))) },
      3,
    );
    expect(await reasonOf({ channelId: stranger, maxWei: feeWei })).toBe("channel_unknown");
    await pipeline.world.client.mine({ blocks: 3 });
    await pipeline.world.caughtUp();
    expect(await reasonOf({ channelId: stranger, maxWei: feeWei })).toBe("channel_node");
    const forged = voucher.encode({
      channelId,
      maxClaimableWei: feeWei,
      signature: `0x${"11".repeat(64)}1b`,
    });
    const response = await fetch(`${node.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "x-payment-voucher": forged },
      body: JSON.stringify({ model: "quote", messages: [{ role: "user", content: question }] }),
    });
    expect(response.status).toBe(402);
    expect(await response.json()).toMatchObject({
      reason: "voucher_signature",
      requiredMaxWei: feeWei.toString(),
    });
    expect(await database().select().from(answer)).toEqual([]);
    expect(await database().select().from(channelState)).toEqual([]);
  });

  it("gives the stored answer to a request repeated with a used-up voucher, and charges once", async () => {
    const asking = {
      channelId: pipeline.channelId,
      maxWei: feeWei,
      question: "What does the harbour master keep?",
    };
    const first = await completionOf(ask(pipeline, node.url, asking));
    expect(await completionOf(ask(pipeline, node.url, asking))).toEqual(first);
    await node[Symbol.asyncDispose]();
    node = await startNode(pipeline, unsettled);
    await until("the node retrieves", async () => (await healthOf(node)).chunks === texts.length);
    expect(await completionOf(ask(pipeline, node.url, asking))).toEqual(first);
    const other = await ask(pipeline, node.url, { ...asking, question: "Where is salt stored?" });
    expect(other.status).toBe(402);
    expect(await other.json()).toMatchObject({
      chargedWei: feeWei.toString(),
      requiredMaxWei: (2n * feeWei).toString(),
    });
    expect(await chargedOf(pipeline.channelId)).toBe(feeWei);
  });

  it("serves concurrent requests of one channel one after the other, each for its own fee", async () => {
    const questions = ["Where is salt stored?", "What burns green?", "What does every pilot carry?"];
    const maxWei = 4n * feeWei;
    const replies = await Promise.all(
      questions.map((question) =>
        completionOf(ask(pipeline, node.url, { channelId: pipeline.channelId, maxWei, question })),
      ),
    );
    const charges = replies.map(({ receipt }) => BigInt(receipt.cumulativeCharged as string) / feeWei);
    expect(charges.sort()).toEqual([2n, 3n, 4n]);
    expect(await chargedOf(pipeline.channelId)).toBe(maxWei);
    const one = { channelId: spare, maxWei: feeWei };
    const both = ["What lifts nine tonnes?", "When do fishermen mend nets?"].map((question) =>
      ask(pipeline, node.url, { ...one, question }),
    );
    expect((await Promise.all(both)).map(({ status }) => status).sort()).toEqual([200, 402]);
    expect(await chargedOf(spare)).toBe(feeWei);
  });

  it("refuses a channel that is being withdrawn", async () => {
    const { send } = pipeline.sender;
    await send(payer, "channelEscrow", "initiateWithdraw", [await readConfig(database(), spare), 1n]);
    const refused = await ask(pipeline, node.url, {
      channelId: spare,
      maxWei: 2n * feeWei,
      question: "Why?",
    });
    expect(await refused.json()).toMatchObject({ reason: "channel_withdrawing" });
  });
});

describe("answers", () => {
  it("cites only what stands in a retrieved chunk, and streams the text it commits", async () => {
    const maxWei = 5n * feeWei;
    const asking = {
      channelId: pipeline.channelId,
      maxWei,
      question: "What is said of a lantern on the north pier?",
    };
    const response = await ask(pipeline, node.url, {
      ...asking,
      body: { stream: true, stream_options: { include_usage: true } },
    });
    const lines = (await response.text()).split("\n\n").filter((line) => line.startsWith("data: "));
    expect(lines.at(-1)).toBe("data: [DONE]");
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line.slice("data: ".length)));
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    const stored = await completionOf(ask(pipeline, node.url, asking));
    expect(stored.choices[0].message.content).toBe(text);
    const { citations, receipt, opening } = stored;
    expect(chunks.at(-2)).toMatchObject({ citations, receipt, opening });
    expect(commitments.inputCommit(opening.input_salt, asking.question)).toBe(receipt.inputCommit);
    const answered = text.slice(0, text.length - markers(citations.length).length);
    expect(commitments.outputCommit(opening.output_salt, answered, opening.answer_token_ids)).toBe(
      receipt.outputCommit,
    );
    expect(chunks.at(-1).usage).toEqual(stored.usage);
    for (const citation of stored.citations) {
      const [row] = await database().select().from(chunk).where(eq(chunk.id, citation.chunk_id));
      expect(row?.text.slice(citation.char_start, citation.char_end)).toBe(citation.quote);
      expect(text.slice(citation.answer_start, citation.answer_end)).toBe(citation.quote);
    }
  });

  it("gives the same receipts to the same questions in the same order", async () => {
    const before = await database().select().from(answer).orderBy(asc(answer.sequence));
    const asked = before.filter(({ channelId }) => channelId === pipeline.channelId).slice(0, 2);
    await database().delete(answer);
    await database().delete(channelState);
    await node[Symbol.asyncDispose]();
    node = await startNode(pipeline, unsettled);
    await until("the node retrieves", async () => (await healthOf(node)).chunks === texts.length);
    for (const row of asked) {
      const { question } = questionOf(row.receiptDigest, before);
      const reply = await completionOf(
        ask(pipeline, node.url, { channelId: row.channelId, maxWei: row.cumulativeChargedWei, question }),
      );
      expect(reply.receipt.digest).toBe(row.receiptDigest);
    }
  });
});

describe("the settler", () => {
  it("goes on after a crash between any two states and after a reorg, and settles each batch once", async () => {
    const { world, channelId } = pipeline;
    for (const maxWei of [3n * feeWei, 4n * feeWei]) {
      const reply = await ask(pipeline, node.url, {
        channelId,
        maxWei,
        question: `What is due at ${maxWei}?`,
      });
      expect(reply.status).toBe(200);
    }
    // One settler at a time: the tests take the node's place.
    await node[Symbol.asyncDispose]();
    await using settling = await openSettling();
    const { parts, disperse, hub } = settling;
    const dying = (part: Partial<SettlerParts>) => createStep({ ...parts, ...part })(settling.signal);

    const afterDispersal = dying({ disperse: async (bytes, stop) => crash(await disperse(bytes, stop)) });
    await expect(afterDispersal).rejects.toThrow("killed");
    expect(await statesOf()).toEqual(["built"]);
    const afterSubmission = dying({ hub: { ...hub, submit: async (run) => crash(await hub.submit(run)) } });
    await expect(afterSubmission).rejects.toThrow("killed");
    expect(await statesOf()).toEqual(["dispersed", "built"]);
    expect(await batchCount()).toBe(1n);

    const beforeReorg = await world.client.snapshot();
    await dying({});
    expect(await statesOf()).toEqual(["submitted", "submitted"]);
    expect(await batchCount()).toBe(2n);
    await world.client.revert({ id: beforeReorg });
    expect(await batchCount()).toBe(1n);
    await dying({});
    expect(await statesOf()).toEqual(["submitted", "submitted"]);
    expect(await batchCount()).toBe(2n);

    const index = await openLiveIndex({ ...parts, modelId: pipeline.modelId });
    expect([await index.refresh(), await index.refresh(), index.current().chunks.size]).toEqual([
      true,
      false,
      texts.length,
    ]);
    await pipeline.sender.send(contributor, "datanetRegistry", "retract", [1n, keccak256("0x01")]);
    expect(await index.refresh()).toBe(false);

    await finalise(world);
    await dying({});
    expect(await statesOf()).toEqual(["settled", "settled"]);
    expect([await index.refresh(), index.current().chunks.size]).toEqual([true, 0]);
    const rows = await database().select().from(answer).orderBy(asc(answer.sequence));
    const runs = await database().select().from(batchRun).orderBy(asc(batchRun.sequence));
    expect(rows.map(({ batchKey }) => batchKey)).toEqual(
      runs.flatMap(({ receiptsRoot }) => [receiptsRoot, receiptsRoot]),
    );
  });

  it("settles the other payers' answers where one has left with his money", async () => {
    const { world, sender } = pipeline;
    const [leaver, stayer] = [await openChannel(pipeline, 7), await openChannel(pipeline, 8)];
    await using _engine = await startEngine(pipeline);
    await contribute(pipeline, contributor, ["The toll of the canal is due at noon."]);
    await finalise(world);
    node = await startNode(pipeline, unsettled);
    await until("the node retrieves", async () => (await healthOf(node)).chunks === 1);
    for (const [channelId, calls] of [
      [leaver, 1n],
      [stayer, 1n],
      [stayer, 2n],
    ] as const) {
      const question = `What is due at ${channelId} ${calls}?`;
      expect((await ask(pipeline, node.url, { channelId, maxWei: calls * feeWei, question })).status).toBe(
        200,
      );
    }
    await node[Symbol.asyncDispose]();
    const config = await readConfig(database(), leaver);
    await sender.send(payer, "channelEscrow", "initiateWithdraw", [config, 100n * token]);
    await sender.warp(config.withdrawDelay + 1);
    await sender.send(payer, "channelEscrow", "finalizeWithdraw", [config]);
    await using settling = await openSettling();
    const step = (emptiedMsMax: number) => createStep({ ...settling.parts, emptiedMsMax })(settling.signal);
    const settledBefore = await batchCount();
    await expect(step(60_000)).rejects.toThrow(/hub refused batch .*: ClaimAboveBalance/);
    await step(0);
    expect(await batchCount()).toBe(settledBefore);
    const keysOf = async (channelId: Hex) => {
      const rows = await database().select().from(answer).where(eq(answer.channelId, channelId));
      return rows.map(({ batchKey }) => batchKey);
    };
    expect([await keysOf(leaver), await keysOf(stayer)]).toEqual([[unpaidKey], [null, null]]);
    await step(0);
    expect(await batchCount()).toBe(settledBefore + 1n);
    const [root] = await keysOf(stayer);
    expect(await keysOf(stayer)).toEqual([root, root]);
    expect(await settling.hub.batchIdOf(root!)).toBe(settledBefore + 1n);
  });
});

function database() {
  return pipeline.world.database.db;
}

async function healthOf({ url }: Running): Promise<{ chunks?: number }> {
  return (await (await fetch(`${url}/health`)).json()) as { chunks?: number };
}

async function completionOf(reply: Promise<Response>): Promise<Completion> {
  const response = await reply;
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
}

async function chargedOf(channelId: Hex): Promise<bigint | undefined> {
  const [row] = await database().select().from(channelState).where(eq(channelState.channelId, channelId));
  return row?.chargedWei;
}

/** The question behind a stored answer. */
function questionOf(digest: Hex, rows: readonly (typeof answer.$inferSelect)[]): { question: string } {
  const row = rows.find(({ receiptDigest }) => receiptDigest === digest)!;
  const decoded = disclosures.decode(row.disclosure);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}

async function statesOf(): Promise<string[]> {
  const runs = await database().select().from(batchRun).orderBy(asc(batchRun.sequence));
  return runs.map(({ state }) => state);
}

function batchCount(): Promise<bigint> {
  return pipeline.sender.read<bigint>("settlementHub", "batchCount");
}

/** A settler's parts on the pipeline, batches of two, for single steps. */
async function openSettling() {
  const { world, disperser, srs } = pipeline;
  const hubAddress = world.deployment.contracts.settlementHub.toLowerCase() as Hex;
  const account = privateKeyToAccount(nodeKey);
  const client = new DisperserClient({
    url: disperser.url,
    accountKey: eigendaKey,
    chainId: 31_337n,
    srs,
    pollMs: 20,
  });
  const disperse: SettlerParts["disperse"] = async (bytes) => (await client.disperse(bytes)).certificate;
  const hub: HubClient = createHubClient({
    rpcUrl: world.rpcUrl,
    chainId: 31_337n,
    hub: hubAddress,
    account,
    configOf: (channelId) => readConfig(database(), channelId),
  });
  const reader = createPublicClient({ transport: http(world.rpcUrl), cacheTime: 0 });
  const finalBlock = createFinalBlockReader({ db: database(), client: reader });
  const scope = { chainId: 31_337n, hub: hubAddress };
  const log = createLog(() => undefined);
  const parts: SettlerParts = {
    db: database(),
    scope,
    hub,
    disperse,
    finalBlock,
    receiptsMax: 2,
    ageMsMax: 0,
    emptiedMsMax: 60_000,
    metrics: createMetrics(),
    log,
  };
  const { signal } = new AbortController();
  return { parts, disperse, hub, signal, [Symbol.asyncDispose]: () => client.close() };
}

/** The process dies after the effect and before its row. */
function crash(_: unknown): never {
  throw new RangeError("killed");
}
