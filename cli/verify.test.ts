import { stripVTControlCharacters } from "node:util";
import { serve } from "@hono/node-server";
import { eq, inArray, sum } from "drizzle-orm";
import { createPublicClient, type Hex, http } from "viem";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { exampleQuery } from "#api/example-query";
import { createApp } from "#api/server";
import { RelayClient } from "#eigenda/index";
import { hashArtifact } from "#runtime/index";
import { onchain } from "#schema/bind";
import { invariant } from "#schema/errors";
import * as engine from "#schema/offchain/40-engine";
import { entry, reward } from "#schema/offchain/50-settlement";
import { roles } from "#settlement/blob/codes";
import * as tree from "#settlement/tree/tree";
import { modelFolder, submitPending, texts } from "../engine/testing/pipeline.ts";
import { contributor, owner } from "../indexer/test/life.ts";
import { devAccount } from "../schema/testing/stack.ts";
import { openSettledWorld, type SettledWorld } from "../settlement/testing/settled-world.ts";
import { loadCommand } from "./commands.ts";
import * as duplicates from "./duplicates.ts";
import * as trace from "./trace.ts";
import { checkBatch, type Settled } from "./verify/batches.ts";
import { nothingChecked } from "./verify/checked.ts";
import { checkEpoch, finalizedHeaders } from "./verify/epoch.ts";
import { BrokenLink, CannotCheck, type Link } from "./verify/link.ts";
import { verifyPayout } from "./verify/payout.ts";
import { chainSources, type Sources } from "./verify/sources.ts";
import { checkUnavailable } from "./verify/unavailable.ts";
import * as verify from "./verify.ts";

let world: SettledWorld;
let sources: Sources;
let relay: RelayClient;
let firstTx: Hex;
/** Pays another account and then the contributor. */
let claimTx: Hex;
let other: string;
let api: ReturnType<typeof createApp>;
const account = devAccount(contributor).address;
const newQuorumBps = 4_000;

beforeAll(async () => {
  world = await openSettledWorld();
  relay = new RelayClient({ relayUrl: () => world.disperser.url, srs: world.srs });
  const client = createPublicClient({ transport: http(world.world.rpcUrl), cacheTime: 0 });
  sources = chainSources(client, world.world.deployment, [relay], world.srs);
  await world.answer(2);
  await world.drive(/^final$/);
  firstTx = await claim();
  await changeTerms();
  await world.answer(2);
  await world.drive(/^final$/);
  claimTx = await claim();
  await world.world.caughtUp();
  api = createApp({ db: world.world.database.db, client });
});

afterAll(async () => {
  await relay?.close();
  await world?.[Symbol.asyncDispose]();
});

let printed: string[];
beforeEach(() => {
  printed = [];
  vi.spyOn(console, "log").mockImplementation((line) => void printed.push(String(line)));
  return () => vi.restoreAllMocks();
});

describe("tributary verify", () => {
  it("finds a real payout valid and prints each link with its hash", async () => {
    expect(await verify.run([claimTx, ...places()])).toBe(0);
    const text = printed.join("\n");
    expect(text).toContain("valid: every link holds");
    for (const name of [
      "leaf",
      "reward root",
      "provenance blob",
      "receipt signatures",
      "allocation",
      "chunk",
    ]) {
      expect(text).toContain(name);
    }
    expect(text).not.toContain("✗");
  });

  it("prints the first links of each name and counts the others; all of them with --all", async () => {
    await verify.run([claimTx, "--all", ...places()]);
    const held = () => printed.map(stripVTControlCharacters).filter((line) => line.startsWith("✓"));
    const all = held();
    expect(printed.join("\n")).not.toContain("checked in the same way");
    printed.length = 0;
    await verify.run([claimTx, ...places()]);
    const first = held();
    const nameOf = (line: string) => line.slice(2, 26).trim();
    const counts = Map.groupBy(first, nameOf);
    expect(Math.max(...[...counts.values()].map(({ length }) => length))).toBe(3);
    expect(new Set(first.map(nameOf))).toEqual(new Set(all.map(nameOf)));
    const told = printed.find((line) => line.includes("checked in the same way"))!;
    const more = [...told.matchAll(/(\d+) ×/g)].map(([, count]) => Number(count));
    expect(first.length + more.reduce((a, b) => a + b, 0)).toBe(all.length);
  });

  it("takes a Datanet's shares from its creation, whatever its terms became between two epochs", async () => {
    const [row] = await world.world.database.db.select().from(onchain.datanet);
    expect(row).toMatchObject({ quorumBps: newQuorumBps, ownerBps: 1_000, validatorBps: 500 });
    const { blockNumber } = (await sources.transaction(claimTx))!;
    const [changed] = await sources.events("DatanetRegistry", "DatanetParamsUpdated", blockNumber);
    const headers = await finalizedHeaders(sources, blockNumber);
    expect(headers.map(({ toBlock }) => toBlock < changed!.blockNumber)).toEqual([true, false]);
    expect(await verify.run([firstTx, claimTx, ...places()])).toBe(0);
    const rates = await world.world.database.db
      .select({ epochId: entry.epochId, role: entry.role, paidWei: sum(entry.amountWei) })
      .from(entry)
      .where(inArray(entry.role, [roles.contributor, roles.datanetOwner, roles.validator]))
      .groupBy(entry.epochId, entry.role);
    for (const epochId of [1n, 2n]) {
      const paidWei = (role: number) =>
        Number(rates.find((rate) => rate.epochId === epochId && rate.role === role)!.paidWei);
      expect(paidWei(roles.datanetOwner) / paidWei(roles.contributor)).toBeCloseTo(1_000 / 8_500, 6);
      expect(paidWei(roles.validator) / paidWei(roles.contributor)).toBeCloseTo(500 / 8_500, 6);
    }
  });

  it("calls one flipped byte in a blob invalid, naming the link", async () => {
    world.disperser.faults.add("corrupt");
    try {
      expect(await verify.run([claimTx, "--json", ...places()])).toBe(1);
      expect(JSON.parse(printed[0]!)).toMatchObject({ verdict: "invalid", link: "provenance blob" });
    } finally {
      world.disperser.faults.clear();
    }
  });

  it("checks what several transactions share once", async () => {
    expect(await verify.run([firstTx, claimTx, "--json", ...places()])).toBe(0);
    const verdicts = printed.map((line) => JSON.parse(line) as verify.Verdict);
    expect(verdicts.map(({ transaction }) => transaction)).toEqual([firstTx, claimTx]);
    const links = verdicts.flatMap((verdict) => verdict.links);
    const count = (name: string) => links.filter((link) => link.name === name).length;
    expect(count("claim")).toBe(3);
    expect(count("provenance certificate")).toBe(2);
    expect(count("data root")).toBe(new Set(hashesOf(links, "data root")).size);
    expect(links.some(({ detail }) => detail === "epoch 1, checked above")).toBe(true);
  });

  it("calls several transactions invalid where one of them is, and goes on after one it cannot check", async () => {
    const unknown = `0x${"12".repeat(32)}`;
    expect(await verify.run([unknown, claimTx, "--json", ...places()])).toBe(2);
    expect(printed.map((line) => JSON.parse(line).verdict)).toEqual(["cannot check", "valid"]);
    world.disperser.faults.add("corrupt");
    try {
      expect(await verify.run([unknown, claimTx, "--json", ...places()])).toBe(1);
    } finally {
      world.disperser.faults.clear();
    }
  });

  it("cannot check without DA, without the chain, or without such a transaction, and says why", async () => {
    const nowhere = "http://127.0.0.1:1";
    expect(await verify.run([claimTx, "--json", ...places({ disperser: nowhere })])).toBe(2);
    expect(await verify.run([claimTx, "--json", ...places({ rpc: nowhere })])).toBe(2);
    expect(await verify.run([`0x${"12".repeat(32)}`, "--json", ...places()])).toBe(2);
    expect(await verify.run([claimTx, "--json", ...places({ disperser: world.world.rpcUrl })])).toBe(2);
    const reasons = printed.map((line) => JSON.parse(line).reason);
    expect(reasons[0]).toMatch(/relay at .* does not serve a blob. Start it/);
    expect(reasons[1]).toMatch(/chain at .* does not answer. Start it/);
    expect(reasons[2]).toMatch(/no transaction/);
    expect(reasons[3]).toMatch(/does not serve a blob/);
  });

  it.each<[string, string, (real: Sources) => Sources]>([
    ["claim", "an amount of another size", (s) => tamper(s, "Claimed", { amount: 1n })],
    ["proof", "an active root of another tree", (s) => tamper(s, "RootActivated", { root: tree.zeroRoot })],
    ["proof", "a proof with a changed hash", withChangedProof],
    [
      "epoch",
      "a finalised root that was not proposed",
      (s) => tamper(s, "EpochFinalized", { rewardRoot: tree.zeroRoot }),
    ],
    [
      "provenance certificate",
      "another certificate hash",
      (s) => tamper(s, "EpochProposed", { daRef: tree.zeroRoot }),
    ],
    [
      "provenance content",
      "another content hash",
      (s) => tamper(s, "EpochProposed", { contentHash: tree.zeroRoot }),
    ],
    [
      "attribution root",
      "another attribution root",
      (s) => tamper(s, "EpochProposed", { attributionRoot: tree.zeroRoot }),
    ],
    ["reward sum", "another total", (s) => tamper(s, "EpochProposed", { rootTotal: 1n })],
    [
      "receipts accumulator",
      "another receipts root",
      (s) => tamper(s, "BatchSettled", { receiptsRoot: tree.zeroRoot }),
    ],
    ["fee totals", "another usage of the model", (s) => tamper(s, "ModelUsage", { amount: 1n })],
    ["usage", "another usage root", (s) => tamper(s, "DatanetUsageRecorded", { usageRoot: tree.zeroRoot })],
    ["usage", "another sum of a usage", (s) => tamper(s, "DatanetUsageRecorded", { amount: 1n })],
    [
      "usage",
      "the usage of a Datanet that was not used",
      (s) => tamper(s, "DatanetUsageRecorded", { datanetId: 99n }),
    ],
    ["allocation", "a larger pool", (s) => tamper(s, "BatchSettled", { poolShare: 1n })],
    ["allocation", "votes of another weight", (s) => tamper(s, "ValidationVote", { validator: account })],
    ["standings", "records that were rejected", (s) => tamper(s, "ContributionResolved", { outcome: 3 })],
    ["conservation", "a larger node share", (s) => tamper(s, "BatchSettled", { nodeShare: 1n })],
    [
      "data root",
      "another data root",
      (s) => tamper(s, "ContributionSubmitted", { dataRoot: tree.zeroRoot }),
    ],
  ])("breaks at the link %s for %s", async (link, _, change) => {
    const links: Link[] = [];
    const report = (one: Link) => void links.push(one);
    const checking = verifyPayout(change(sources), claimTx, report, nothingChecked());
    const failed = await checking.catch((error) => error);
    expect(failed).toBeInstanceOf(BrokenLink);
    expect(failed.link).toBe(link);
    expect(links.filter(({ ok }) => !ok).every(({ name }) => name === link)).toBe(true);
  });

  it("takes the poster's word on a blob only where the epoch would have counted it, and says whether it can be had", async () => {
    const { blockNumber } = (await sources.transaction(claimTx))!;
    const [header] = await finalizedHeaders(sources, blockNumber);
    const checked = await checkEpoch(sources, header!, () => undefined);
    const links: Link[] = [];
    const report = (link: Link) => void links.push(link);
    const given = (subject: string, receipts: typeof checked.provenance.receipts) => ({
      ...checked,
      provenance: { ...checked.provenance, receipts, unavailable: [{ subject, code: "da_unavailable" }] },
    });
    const [receipt] = checked.provenance.receipts;
    const model = `training:${receipt!.modelId}`;
    const paid = checkUnavailable(sources, given("contribution:1", [receipt!]), report);
    await expect(paid).rejects.toThrow(/left out, and yet has entries/);
    const unknown = checkUnavailable(sources, given("contribution:99", []), report);
    await expect(unknown).rejects.toThrow(/was not accepted in the blocks of the epoch/);
    const untrained = checkUnavailable(sources, given(model, []), report);
    await expect(untrained).rejects.toThrow(/published no training/);
    expect(links).toEqual([]);
    await checkUnavailable(sources, given("contribution:1", []), report);
    world.disperser.faults.add("not-found");
    await checkUnavailable(sources, given("contribution:1", []), report).finally(() =>
      world.disperser.faults.delete("not-found"),
    );
    const word = "contribution:1 left out as da_unavailable: the poster's word, taken as it is; its blob can";
    expect(links.map(({ name, detail }) => [name, detail])).toEqual([
      ["unavailable", `${word} be had now`],
      ["unavailable", `${word}not be had here either`],
    ]);
  });

  it("takes a left-out batch for bad only where its blob is, not where a relay lies or nothing is wrong", async () => {
    const { blockNumber } = (await sources.transaction(claimTx))!;
    const [settled] = await sources.events("SettlementHub", "BatchSettled", blockNumber);
    const [header] = await finalizedHeaders(sources, blockNumber);
    const checked = await checkEpoch(sources, header!, () => undefined);
    const links: Link[] = [];
    const { batchId } = settled!.args;
    const check = (one: Settled, code: string | null, from = sources) => {
      const leftOut = code === null ? [] : [{ batchId, code }];
      const epoch = { ...checked, provenance: { ...checked.provenance, receipts: [], leftOut } };
      return checkBatch(from, one, epoch, (link) => void links.push(link));
    };
    const other = { ...settled!, args: { ...settled!.args, contentHash: tree.zeroRoot } };
    expect((await check(other, "content_hash")).receipts).toEqual([]);
    expect(links).toMatchObject([{ name: "receipts blob", detail: expect.stringMatching(/left out/) }]);
    await expect(check(settled!, null)).rejects.toThrow(/is not said to be left out/);
    await expect(check(settled!, "content_hash")).rejects.toThrow(/but it is well-formed/);
    await expect(check(settled!, "unknown_chunk")).rejects.toThrow(/takes every contribution/);
    const unclaiming = tamper(sources, "Claimed", { newTotalClaimed: 0n });
    expect((await check(settled!, "unclaimed_receipt", unclaiming)).receipts).toEqual([]);
    expect(links.at(-1)!.detail).toMatch(/left out as .*which the batch does not claim; its pool is carried/);
    await expect(check(settled!, "wrong_node", unclaiming)).rejects.toThrow(/but is unclaimed_receipt/);
    expect((await check(settled!, "da_unavailable")).receipts).toEqual([]);
    expect(links.at(-1)!.detail).toMatch(/the poster's word/);
    world.disperser.faults.add("corrupt");
    try {
      await expect(check(settled!, "content_hash")).rejects.toThrow(CannotCheck);
      await expect(check(settled!, "content_hash")).rejects.toThrow(/its blob cannot be had/);
    } finally {
      world.disperser.faults.clear();
    }
  });

  it("says nothing about a transaction that claims nothing", async () => {
    const { transactionHash } = await world.sender.send(owner, "openToken", "approve", [account, 1n]);
    const checking = verifyPayout(sources, transactionHash, () => undefined, nothingChecked());
    await expect(checking).rejects.toThrow(CannotCheck);
  });
});

describe("tributary duplicates", () => {
  it("tells who votes on a contribution what it repeats, by the rules that pay", async () => {
    const [said, other] = texts;
    const id = await submitPending(world, contributor, [
      said!,
      `${other!.slice(0, -1)} again.`,
      "The harbour master keeps a ledger of every barrel of tea, and sells some of it to sailors on Sundays.",
      "Nobody has written down yet where the bell of the old ferry went.",
      "Because the market is closed then, fishermen mend their nets on Thursday.",
      "Then the market is closed, because on Thursday fishermen mend their nets.",
    ]);
    expect(await duplicates.run([String(id), "--json", ...places()])).toBe(1);
    const found = JSON.parse(printed[0]!) as duplicates.Found;
    expect(found).toMatchObject({ contribution: String(id), isPending: true, skipped: [] });
    const [same, near, part, fresh, reordered] = found.records;
    expect(same).toMatchObject({ kind: "exact", contributionId: "1", noveltyWad: "0" });
    expect(near).toMatchObject({ kind: "near", contributionId: "1" });
    expect(part).toMatchObject({ kind: "first", contributionId: String(id) });
    expect(BigInt(part!.noveltyWad) > 0n && BigInt(part!.noveltyWad) < 10n ** 18n).toBe(true);
    expect(fresh).toMatchObject({ kind: "first", noveltyWad: String(10n ** 18n) });
    expect(reordered).toMatchObject({ kind: "first" });
    // What only embeddings see: the fourth of the first contribution's records said in another order, twice.
    invariant(found.advice !== null && "similar" in found.advice, "the shipped model advises");
    expect(found.advice.artifactHash).toBe(await hashArtifact(modelFolder));
    const { id: netsId } = (await chunkOf(texts[2]!))!;
    const like = found.advice.similar.filter(({ index }) => index >= 4);
    expect(like).toMatchObject([
      { index: 4, contributionId: "1", otherChunkId: netsId },
      { index: 5, chunkId: found.records[5]!.chunkId },
    ]);
    expect(like.every(({ cosine }) => cosine >= 7 / 8 && cosine <= 1 + 1e-9)).toBe(true);
    expect(found.advice.similar.some(({ index }) => index < 2 || index === 3)).toBe(false);
    expect(await duplicates.run([String(id), ...places()])).toBe(1);
    const text = printed.slice(1).join("\n");
    expect(text).toContain("(pending): 6 records, ");
    expect(text).toMatch(/advice, which decides no payment: \d records are in the words of an earlier one/);
    expect(text).toContain(`4 harbour.md#4: like ${netsId} of contribution 1, cosine 0.9`);
  });

  it("advises nobody who asks for none, and says why where the model cannot", async () => {
    const id = await submitPending(world, contributor, [
      "Old ropes are sold as oakum in the autumn of each year.",
    ]);
    expect(await duplicates.run([String(id), "--json", "--no-advice", ...places()])).toBe(0);
    expect(await duplicates.run([String(id), "--json", "--model", "/nowhere", ...places()])).toBe(0);
    expect(await duplicates.run([String(id), "--model", "/nowhere", ...places()])).toBe(0);
    const [without, unable] = printed.slice(0, 2).map((line) => JSON.parse(line) as duplicates.Found);
    expect(without!.advice).toBeNull();
    expect(unable!.advice).toEqual({ reason: expect.stringContaining("/nowhere") });
    expect(printed[3]).toMatch(/^no advice by embeddings: .*nowhere/);
  });

  it("finds what the engine wrote of a contribution that was accepted", async () => {
    const { chunk, duplicate } = engine;
    const rows = await world.world.database.db
      .select({ chunkId: chunk.id, firstChunkId: duplicate.firstChunkId, noveltyWad: duplicate.noveltyWad })
      .from(chunk)
      .innerJoin(duplicate, eq(duplicate.chunkId, chunk.id))
      .where(eq(chunk.contributionId, 1n))
      .orderBy(chunk.index);
    const found = await duplicates.findDuplicates(sources, 1n, await headBlock(), {
      adviser: null,
      onProgress: () => undefined,
    });
    expect(found.isPending).toBe(false);
    expect(
      found.records.map(({ chunkId, firstChunkId, noveltyWad }) => [chunkId, firstChunkId, noveltyWad]),
    ).toEqual(
      rows.map(({ chunkId, firstChunkId, noveltyWad }) => [chunkId, firstChunkId, String(noveltyWad)]),
    );
  });

  it("cannot tell of a contribution that is none, or whose blob nobody serves", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(await duplicates.run(["99", ...places()])).toBe(2);
    expect(await duplicates.run(["1", ...places({ disperser: "http://127.0.0.1:1" })])).toBe(2);
    await expect(duplicates.run(["first", ...places()])).rejects.toThrow(/id of a contribution/);
  });
});

async function chunkOf(text: string) {
  const { chunk } = engine;
  const [row] = await world.world.database.db.select().from(chunk).where(eq(chunk.text, text));
  return row;
}

describe("wrong usage", () => {
  it.each([
    ["verify"],
    ["verify", "0x12"],
    ["verify", `0x${"12".repeat(32)}`, "--disperser", "nonsense"],
    ["trace"],
    ["trace", "word"],
    ["trace", `0x${"12".repeat(32)}`, "--account", "0x12"],
    ["trace", `0x${"12".repeat(32)}`, "--unknown"],
  ] as ["verify" | "trace", ...string[]][])(
    "is told, and is exit code 2: %s %s %s %s",
    async (name, ...args) => {
      const told = vi.spyOn(console, "error").mockImplementation(() => undefined);
      const command = await loadCommand(name);
      expect(await command(args)).toBe(2);
      expect(told.mock.calls.join()).toContain(`${name} --help`);
    },
  );
});

describe("the API", () => {
  it("answers the example query with every hop of the newest payout and its hash", async () => {
    const { data, errors } = await query(exampleQuery);
    expect(errors).toBeUndefined();
    const [payout] = data.claims.nodes;
    expect(payout.txHash).toBe(claimTx);
    expect(payout.entries.nodes).toHaveLength(payout.entryCount);
    for (const { leaf, receipt, chunk } of payout.entries.nodes) {
      const hops = [payout.leaf.hash, payout.epoch.rewardRoot, payout.epoch.attributionRoot, leaf];
      hops.push(
        receipt.digest,
        receipt.batch.receiptsRoot,
        chunk.id,
        chunk.leaf,
        chunk.contribution.dataRoot,
      );
      for (const hash of hops) expect(hash).toMatch(/^0x[0-9a-f]{64}$/);
      expect(chunk.contribution.contributor.account).toBe(account.toLowerCase());
    }
  });

  it("leads from a payout to its contributors in one query, with the hash of each hop", async () => {
    const { data, errors } = await query(
      `query ($tx: Hex) { claims(txHash: $tx, first: 2) { nodes {
        txHash amountWei leaf { hash proof epoch { rewardRoot } } epoch { id rewardRoot attributionRoot conservation { isConserved } }
        entries(first: 50) { nodes { leaf proof amountWei reason
          receipt { digest leaf batch { receiptsRoot txHash } candidates { leaf } }
          chunk { id leaf textHash contribution { dataRoot submittedTx contributor { account earnedWei claimedWei } } } } } } } }`,
      { tx: claimTx },
    );
    expect(errors).toBeUndefined();
    const [payout] = data.claims.nodes;
    expect(tree.verify(payout.epoch.rewardRoot, payout.leaf.hash, payout.leaf.proof)).toBe(true);
    expect(payout.epoch.conservation.isConserved).toBe(true);
    const entries = payout.entries.nodes;
    const paidWei = entries.reduce((wei: bigint, e: { amountWei: string }) => wei + BigInt(e.amountWei), 0n);
    expect(paidWei).toBe(BigInt(payout.amountWei));
    for (const entry of entries) {
      expect(tree.verify(payout.epoch.attributionRoot, entry.leaf, entry.proof)).toBe(true);
      expect(entry.chunk.contribution.contributor.account).toBe(account.toLowerCase());
    }
  });

  it("tells a bot what is claimable, with proofs that the distributor takes", async () => {
    const page =
      "claimable(first: 1) { nodes { account { account } cumulativeWei claimableWei proof } endCursor hasNextPage }";
    const { data } = await query(`{ ${page} status { finalBlock chainBlock } }`);
    const [owed] = data.claimable.nodes;
    expect(BigInt(owed.claimableWei)).toBeGreaterThan(0n);
    const args = [owed.account.account, BigInt(owed.cumulativeWei), owed.proof];
    await world.sender.send(owner, "rewardDistributor", "claim", args);
    await world.world.caughtUp();
    const { data: after } = await query(`{ ${page} }`);
    expect(after.claimable.nodes[0]?.account.account).not.toBe(owed.account.account);
  });

  it("tells a contributor why records earned nothing", async () => {
    const { data } = await query(
      `query ($account: Hex!) { contributor(account: $account) { zeroReasons { reasonText count } claimable { claimableWei } } }`,
      { account },
    );
    expect(data.contributor.claimable.claimableWei).toBe("0");
    expect(data.contributor.zeroReasons.length).toBeGreaterThan(0);
  });

  it("opens GraphiQL with the example query, and loads nothing of it from elsewhere", async () => {
    const page = await (await api.request("/graphql", { headers: { accept: "text/html" } })).text();
    expect(page).toContain("Tributary");
    expect(page).not.toMatch(/(src|href)=["']?https?:/);
  });

  it("reads the newest state on each request and reports health", async () => {
    expect((await api.request("/health")).status).toBe(200);
    expect(await (await api.request("/metrics")).text()).toContain("api_requests_total");
    const { data } = await query("{ conservation { feesWei splitsWei leavesWei carriedWei isConserved } }");
    expect(data.conservation).toHaveLength(2);
  });
});

describe("tributary trace", () => {
  it("prints every hop of a payout and of a receipt from the API", async () => {
    await using served = await serveApi();
    expect(await trace.run([claimTx, "--api", served.url])).toBe(0);
    for (const hop of [
      "payout",
      "leaf",
      "reward root",
      "receipt",
      "chunk",
      "data root",
      account.toLowerCase(),
    ]) {
      expect(printed.join("\n")).toContain(hop);
    }
    const digest = /receipt\s+\S*(0x[0-9a-f]{64})/.exec(printed.join("\n"))![1]!;
    printed = [];
    expect(await trace.run([digest, "--api", served.url])).toBe(0);
    expect(printed.join("\n")).toMatch(/question/);
  });

  it("lists the payouts of a transaction and tells the largest, or the one asked for", async () => {
    await using served = await serveApi();
    const asked = ["--api", served.url, "--json"];
    expect(await trace.run([claimTx, ...asked])).toBe(0);
    expect(await trace.run([claimTx, ...asked, "--account", other])).toBe(0);
    const [largest, chosen] = printed.map((line) => JSON.parse(line));
    const amounts = largest.payouts.map(({ amountWei }: { amountWei: string }) => BigInt(amountWei));
    expect(amounts).toHaveLength(2);
    expect(amounts[0]).toBeGreaterThanOrEqual(amounts[1]);
    expect(largest.payout.amountWei).toBe(largest.payouts[0].amountWei);
    expect(chosen.payout.account.account).toBe(other);
    const nobody = `0x${"12".repeat(20)}`;
    await expect(trace.run([claimTx, ...asked, "--account", nobody])).rejects.toThrow(/lists the 2 it pays/);
  });

  it("prints as many entries as asked for and says how many more there are", async () => {
    await using served = await serveApi();
    expect(await trace.run([claimTx, "--api", served.url, "--account", account])).toBe(0);
    // A receipt's entries name chunk owner, Datanet owner, validators and model: never one alone.
    const digest = /receipt\s+\S*(0x[0-9a-f]{64})/.exec(printed.join("\n"))![1]!;
    printed = [];
    expect(await trace.run([digest, "--api", served.url, "--entries", "1"])).toBe(0);
    const more = /… and (\d+) more/.exec(printed.join("\n"));
    printed = [];
    expect(await trace.run([digest, "--api", served.url, "--all"])).toBe(0);
    const text = printed.join("\n");
    expect(text.match(/ entry {2}/g)).toHaveLength(Number(more![1]) + 1);
    expect(text).not.toContain("more entries");
  });

  it("says so when the API does not answer", async () => {
    await expect(trace.run([claimTx, "--api", "http://127.0.0.1:1/graphql"])).rejects.toThrow(
      /does not answer/,
    );
  });
});

function places(other: Partial<Record<"rpc" | "disperser", string>> = {}): string[] {
  const { rpcUrl, deployment } = world.world;
  return [
    ...["--rpc", other.rpc ?? rpcUrl],
    ...["--disperser", other.disperser ?? world.disperser.url],
    ...["--addresses", deployment.addressesFile],
    ...["--srs", world.environment.SRS_FOLDER!],
  ];
}

function hashesOf(links: readonly Link[], name: string): (string | null)[] {
  return links.filter((link) => link.name === name).map(({ hash }) => hash);
}

/** The Datanet's owner changes what may change: shares are not among it. */
async function changeTerms(): Promise<void> {
  const created = await sources.events("DatanetRegistry", "DatanetCreated", await headBlock());
  const change = (other: object) =>
    world.sender.send(owner, "datanetRegistry", "updateParams", [
      1n,
      { ...created[0]!.args.params, quorumBps: newQuorumBps, ...other },
    ]);
  await expect(change({ ownerBps: 1_001 })).rejects.toThrow();
  await change({});
}

function headBlock(): Promise<bigint> {
  return world.sender.client.getBlockNumber({ cacheTime: 0 });
}

/** Claims what the active root gives the contributor; the second time also what it gives another account. */
async function claim(): Promise<Hex> {
  const { database } = world.world;
  const [active] = await database.db.select().from(onchain.distributor);
  const rewards = await database.db.select().from(reward);
  const current = rewards.filter(({ epochId }) => epochId === active!.epoch);
  const grown = tree.build(current.map(({ leaf }) => leaf));
  const [own, another] = [true, false].map((isOwn) => {
    const row = current.find((one) => (one.account === account.toLowerCase()) === isOwn)!;
    return { account: row.account, cumulative: row.cumulativeWei, proof: tree.proof(grown, row.leaf) };
  });
  const send = async (name: "claim" | "claimMany", args: unknown[]) =>
    (await world.sender.send(contributor, "rewardDistributor", name, args)).transactionHash;
  if (firstTx === undefined) return send("claim", [own!.account, own!.cumulative, own!.proof]);
  other = another!.account;
  return send("claimMany", [[another, own]]);
}

/** Sources that lie about one field of every event of a name: the fault an attacker's node would show. */
function tamper(real: Sources, name: string, change: object): Sources {
  const events = async (contract: never, eventName: never, toBlock: bigint) => {
    const found = await real.events(contract, eventName, toBlock);
    const args = (given: unknown) => ({ ...(given as object), ...change });
    return eventName === name
      ? found.map((event: { args: unknown }) => ({ ...event, args: args(event.args) }))
      : found;
  };
  return { ...real, events: events as unknown as Sources["events"] };
}

function withChangedProof(real: Sources): Sources {
  return {
    ...real,
    transaction: async (hash) => {
      const found = (await real.transaction(hash))!;
      const last = found.input.at(-1) === "0" ? "1" : "0";
      return { ...found, input: `${found.input.slice(0, -1)}${last}` as Hex };
    },
  };
}

async function query(text: string, variables: object = {}) {
  const response = await api.request("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: text, variables }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what each test asserts.
  return (await response.json()) as { data: any; errors?: { message: string }[] };
}

async function serveApi() {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = serve({ fetch: api.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => resolve(port));
  const url = `http://127.0.0.1:${await promise}/graphql`;
  return { url, [Symbol.asyncDispose]: () => new Promise<void>((done) => server.close(() => done())) };
}
