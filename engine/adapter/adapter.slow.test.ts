import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { and, eq } from "drizzle-orm";
import { PgBoss } from "pg-boss";
import { type Hex, keccak256, toHex, zeroHash } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { payloadBytesMax, type TrainedModel } from "#cli/train/adapter";
import { publish } from "#cli/train/publish";
import { modelIdOf, packageTraining } from "#factory/package";
import { planTraining, readRows } from "#factory/plan";
import { hashAdapter } from "#runtime/index";
import { sum } from "#schema/apportion";
import { onchain } from "#schema/bind";
import { invariant } from "#schema/errors";
import {
  adapter,
  chunk,
  entry,
  influence,
  payload,
  receipt,
  refusal,
  score,
  trainingRecord,
} from "#schema/offchain/index";
import { devAccount, until } from "#schema/testing/stack";
import { reasons, roles } from "#settlement/blob/codes";
import * as commitments from "#settlement/blob/commitments";
import * as manifest from "#settlement/blob/training/manifest";
import { loadPublicFacts } from "#settlement/loaders/reputation";
import { contributor, owner } from "../../indexer/test/life.ts";
import { openSettlement } from "../../settlement/testing/settled-world.ts";
import { playerValues } from "../score/total.ts";
import {
  ask,
  contribute,
  eigendaKey,
  feeWei,
  finalise,
  modelFolder,
  openPipeline,
  type Pipeline,
  type Running,
  spawnStage,
  startEngine,
  startNode,
} from "../testing/pipeline.ts";
import { madeUpTexts, openElsewhere, publisherOf, requestOf, trainOn } from "../testing/training.ts";
import { readManifest } from "./files.ts";
import type { InfluenceMethod } from "./methods.ts";
import { readBlocks } from "./read-blocks.ts";
import { methodFolder } from "./store.ts";

/** A chain with a Datanet of made-up sentences and an adapter trained on it; engine and node in this process. */
let pipeline: Pipeline;
let engine: Running;
let folder: string;
let trained: TrainedModel;
const choice = { name: "harbour", steps: 10, gateRecords: 4 };

beforeAll(async () => {
  pipeline = await openPipeline();
  await contribute(pipeline, contributor, [...madeUpTexts(56), tooLong]);
  await finalise(pipeline.world);
  engine = await startEngine(pipeline);
  folder = await mkdtemp(join(tmpdir(), "tributary-training-"));
  trained = await train();
  await finalise(pipeline.world);
  await until("the adapter is ready", async () => (await stateOf(trained.modelId)) === "ready", 240_000);
}, 600_000);

afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("an adapter trained on a Datanet", () => {
  it("leaves a payload whose rows, roots and files are those of the chain", async () => {
    const [row] = await database().select().from(adapter).where(eq(adapter.modelId, trained.modelId));
    const of = await readManifest(database(), row!.contentHash);
    expect(of.trainRows).toHaveLength(59);
    expect(of.gateRows).toHaveLength(4);
    expect(of.adapterHash).toBe(trained.adapterHash);
    expect(await hashAdapter(trained.adapterFolder)).toBe(trained.adapterHash);
    const records = await recordsOf(trained.modelId);
    expect(records.map(({ chunkId }) => chunkId)).toEqual(of.trainRows);
    expect(records.every(({ passesGate, gateCount }) => passesGate !== null && gateCount === 4)).toBe(true);
    expect(trained.evaluation.adapterLoss).toBeLessThan(trained.evaluation.baseLoss);
  });

  it("does nothing twice: the same training goes on to the same model", async () => {
    expect((await train()).modelId).toBe(trained.modelId);
  });

  it("answers beside its base, and its receipts say which adapter it followed", async () => {
    const [base, adapted] = await askBoth(1n);
    expect(adapted!.modelId).toBe(trained.modelId);
    expect(adapted!.adapterSet).toBe(commitments.adapterSet([trained.adapterHash]));
    expect(base!.adapterSet).toBe(zeroHash);
    expect(await database().select().from(refusal)).toEqual([]);
  });

  it("is scored as two players, with the records that moved the answer", async () => {
    const [row] = await database().select().from(receipt).where(eq(receipt.modelId, trained.modelId));
    const [found] = await database().select().from(score).where(eq(score.receiptDigest, row!.digest));
    const micro = (wad: bigint) => wad / 10n ** 12n;
    const players = playerValues({
      baseMicro: micro(found!.valueBaseWad),
      contextMicro: micro(found!.valueContextWad),
      adapterMicro: micro(found!.valueAdapterWad),
      bothMicro: micro(found!.valueBothWad),
    });
    expect(found!.valueAdapterWad).not.toBe(found!.valueBaseWad);
    const records = await influencesOf(row!.digest, "adapter");
    const known = new Set((await recordsOf(trained.modelId)).map(({ chunkId }) => chunkId));
    expect(records.length).toBeGreaterThan(0);
    expect(records.every(({ chunkId }) => known.has(chunkId))).toBe(true);
    const helped = sum(records.map(({ scoreWad }) => (scoreWad > 0n ? scoreWad : 0n)));
    expect(micro(helped + found!.unexplainedWad) <= players.adapterMicro).toBe(true);
    const passages = await influencesOf(row!.digest, "context");
    const passagesMicro = micro(sum(passages.map(({ scoreWad }) => scoreWad)));
    if (players.contextHelped) expect(passagesMicro).toBe(players.contextMicro);
    else expect(passagesMicro).toBe(micro(found!.valueBothWad - found!.valueAdapterWad));
  });

  it("speaks of contributors, as its owner owns the Datanet too", async () => {
    const { gates } = await loadPublicFacts(database(), 1_000_000n);
    expect(gates).toHaveLength((await recordsOf(trained.modelId)).length);
    const owners = new Set(gates.flatMap(({ modelOwner, datanetOwner }) => [modelOwner, datanetOwner]));
    expect(owners).toEqual(new Set([devAccount(owner).address.toLowerCase()]));
  });

  it("stores the same bytes again on another machine, from chain and DA alone", async () => {
    const before = await contentsOf(here());
    expect(before.size).toBeGreaterThan(4);
    await using other = await elsewhere();
    await other.open();
    expect(await contentsOf(other.folder)).toEqual(before);
  });

  it("stops building where it is cancelled, and goes on to the same bytes", async () => {
    await using other = await elsewhere();
    const cancel = new AbortController();
    const seen: number[] = [];
    const onProgress = ({ recordsDone }: { recordsDone: number }) => {
      seen.push(recordsDone);
      if (recordsDone > 0) cancel.abort(new Error("cancelled"));
    };
    await expect(other.open(other.of, { onProgress, signal: cancel.signal })).rejects.toThrow("cancelled");
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBeLessThan(other.of.trainRows.length);
    const partial = [...(await contentsOf(other.folder)).keys()];
    expect(partial).not.toContainEqual(expect.stringMatching(/efim-dual/));
    await other.open();
    expect(await contentsOf(other.folder)).toEqual(await contentsOf(here()));
  });

  it("scores the same again where files were swapped or bytes changed meanwhile", async () => {
    await using other = await elsewhere();
    const [row] = await database().select().from(receipt).where(eq(receipt.modelId, trained.modelId));
    const first = await other.score(row!.disclosure);
    invariant(first.ok, "it is scored");
    const published = await influencesOf(row!.digest, "adapter");
    expect(first.records.map(({ scoreWad }) => scoreWad)).toEqual(published.map(({ scoreWad }) => scoreWad));
    const whole = await contentsOf(other.folder);
    await writeFile(join(other.folder, "files/adapter_config.json"), "{}");
    const shard = [...whole.keys()].find((name) => /efim-dual.shard/.test(name))!;
    await writeFile(join(other.folder, shard), Buffer.alloc(8));
    await using fresh = await elsewhere(other.root);
    const spoilt = await fresh.score(row!.disclosure);
    expect(spoilt).toMatchObject({ ok: false, code: "store-damaged", retryable: true });
    expect(await fresh.score(row!.disclosure)).toEqual(first);
    expect(await contentsOf(other.folder)).toEqual(whole);
  });
});

describe("a store of gradients", () => {
  it("has the same bytes, and the gate the same verdicts, where engine after engine is killed as it builds", async () => {
    const whole = await contentsOf(here());
    const judged = await recordsOf(trained.modelId);
    await engine[Symbol.asyncDispose]();
    await rm(here(), { recursive: true });
    await database().update(adapter).set({ state: "fetched" });
    await database().update(trainingRecord).set({ passesGate: null, gateSumMicro: null, gateCount: null });
    await using boss = await openBoss();
    await boss.boss.send("build-store", { eventId: "0", modelId: trained.modelId });
    const found: string[] = [];
    for (const moment of [/adapter_model/, /gradients.shard-000000-48/, /gradients.shard-000001/]) {
      const killed = await spawnStage(pipeline, "engine/main.ts");
      await until(`${moment} is there`, async () =>
        (await namesOf(here())).some((name) => moment.test(name)),
      );
      await killed.end("SIGKILL");
      found.push((await readState(trained.modelId))!);
    }
    expect(found.slice(0, 2)).toEqual(["fetched", "fetched"]);
    engine = await startEngine(pipeline);
    await until("it is ready again", async () => (await readState(trained.modelId)) === "ready", 240_000);
    expect(await contentsOf(here())).toEqual(whole);
    expect(await recordsOf(trained.modelId)).toEqual(judged);
  }, 600_000);

  it("is made anew from the archive's copy of the payload where no relay serves it any more", async () => {
    const [of] = await database()
      .select()
      .from(onchain.trainingManifest)
      .where(eq(onchain.trainingManifest.modelId, trained.modelId));
    const archived = join(pipeline.environment.ARCHIVE_FOLDER!, "certificate");
    const name = keccak256(of!.daCommitment).slice(2);
    await until("the payload is archived", async () =>
      (await namesOf(archived)).some((file) => file.includes(name)),
    );
    const judged = await recordsOf(trained.modelId);
    await database().delete(trainingRecord);
    await database().delete(adapter);
    await database().delete(payload).where(eq(payload.contentHash, of!.manifestHash));
    pipeline.disperser.faults.add("not-found");
    try {
      await using boss = await openBoss();
      await boss.boss.send("fetch-training", { eventId: of!.eventId, modelId: trained.modelId });
      await until("it is ready", async () => (await readState(trained.modelId)) === "ready", 120_000);
    } finally {
      pipeline.disperser.faults.clear();
    }
    expect(await recordsOf(trained.modelId)).toEqual(judged);
    expect(engine.log.join("\n")).toContain("blob not served by a relay");
  });

  it("is another for a model of the same files that was trained on other rows, as it says", async () => {
    const modelId = await publishTwin();
    await finalise(pipeline.world);
    await until("the twin is ready", async () => (await readState(modelId)) === "ready", 240_000);
    const idsOf = async (id: Hex) => (await recordsOf(id)).map(({ chunkId }) => chunkId);
    const [ours, theirs] = [await idsOf(trained.modelId), await idsOf(modelId)];
    expect(theirs).toHaveLength(ours.length);
    expect(theirs).not.toEqual(ours);
    for (const [id, rows] of [[trained.modelId, ours] as const, [modelId, theirs] as const]) {
      const [row] = await database().select().from(adapter).where(eq(adapter.modelId, id));
      const stored = await readBlocks(join(here(), id, methodFolder(row!.methodHash!), "efim-dual"));
      expect(stored.recordIds).toEqual(rows);
    }
  }, 300_000);

  it("gives nothing to a record too long to be learned", async () => {
    const records = await recordsOf(trained.modelId);
    const long = await database().select({ id: chunk.id }).from(chunk).where(eq(chunk.text, tooLong));
    const row = records.find(({ chunkId }) => chunkId === long[0]!.id);
    // The draw may have held it out: then it asked nothing of the others.
    expect(row?.gateSumMicro ?? 0n).toBe(0n);
    expect(row?.passesGate ?? false).toBe(false);
  });

  it("serves the hybrid method too, which averages influence with the likeness of the texts", async () => {
    await using other = await elsewhere(undefined, "hybrid");
    const [row] = await database().select().from(receipt).where(eq(receipt.modelId, trained.modelId));
    const scored = await other.score(row!.disclosure);
    invariant(scored.ok, "it is scored");
    expect(new Set(scored.records.map(({ estimator }) => estimator))).toEqual(new Set(["hybrid"]));
    const published = await influencesOf(row!.digest, "adapter");
    expect(scored.records.map(({ chunkId }) => chunkId)).not.toEqual(published.map(({ chunkId }) => chunkId));
    expect(await namesOf(other.folder)).toContainEqual(expect.stringMatching(/efim-dual.manifest/));
  });
});

describe("a training that does not fit the chain", () => {
  it.each([Number.NaN, 1e30])("is refused where the adapter's weights are %s", async (weight) => {
    const modelId = await publishSpoilt(weight);
    await finalise(pipeline.world);
    await until("it is refused", async () => (await refusalsOf(`training:${modelId}`)).length > 0, 120_000);
    expect((await refusalsOf(`training:${modelId}`))[0]!.code).toMatch(/finite|invalid/);
    expect(await readState(modelId)).toBeUndefined();
    expect(await recordsOf(modelId)).toEqual([]);
  });

  it("is refused with its reason, and so are receipts of its model", async () => {
    const [row] = await database().select().from(adapter).where(eq(adapter.modelId, trained.modelId));
    const of = await readManifest(database(), row!.contentHash);
    const forged = { ...of, trainRows: of.trainRows.slice(1) };
    const modelId = await publishForged("forged", forged);
    await finalise(pipeline.world);
    await until("it is refused", async () => (await refusalsOf(`training:${modelId}`)).length > 0, 60_000);
    // Registered under a name that its settings do not say.
    expect((await refusalsOf(`training:${modelId}`))[0]!.code).toBe("name_mismatch");
  });
});

describe("a contribution retracted after a training", () => {
  it("is still told among what moved an answer, and paid nothing from then on", async () => {
    await using settlement = openSettlement(pipeline);
    // Contribution 2 holds most of the rows; the batch of the answers above is an epoch before it is retracted.
    await settlement.drive(/^final$/);
    const ofRetracted = async (epochId: bigint) => {
      const { reason, amountWei, scoreWad } = entry;
      return database()
        .select({ reason, amountWei, scoreWad, role: entry.role })
        .from(entry)
        .where(and(eq(entry.epochId, epochId), eq(entry.contributionId, 2n)));
    };
    const paid = (rows: Awaited<ReturnType<typeof ofRetracted>>) =>
      rows.filter(({ role, amountWei }) => role === roles.recordContributor && amountWei > 0n);
    const before = await ofRetracted(1n);
    expect(paid(before).length).toBeGreaterThan(0);
    await pipeline.sender.send(contributor, "datanetRegistry", "retract", [2n, keccak256(toHex("mistake"))]);
    await finalise(pipeline.world);
    await askBoth(3n);
    await settlement.drive(/^final$/);
    const after = await ofRetracted(2n);
    const records = after.filter(({ role }) => role === roles.recordContributor);
    const helped = records.filter(({ scoreWad }) => scoreWad > 0n);
    expect(helped.length).toBeGreaterThan(0);
    expect(helped.every(({ amountWei, reason }) => amountWei === 0n && reason === reasons.retracted)).toBe(
      true,
    );
    expect(paid(after)).toEqual([]);
    const carriedWei = sum(
      after.filter(({ role }) => role === roles.carried).map(({ amountWei }) => amountWei),
    );
    expect(carriedWei).toBeGreaterThan(0n);
  }, 600_000);
});

/** Asks base and adapter the same question, the first for the `count`-th paid call, until both are settled and scored. */
async function askBoth(count: bigint): Promise<Record<string, unknown>[]> {
  await using node = await startNode(pipeline);
  await until("the adapter is listed", async () => (await listed(node.url)).includes("harbour"));
  const question = "What does harbour.md#0 say about the harbour master keeps?";
  const asked = { channelId: pipeline.channelId, question };
  const base = await ask(pipeline, node.url, { ...asked, maxWei: count * feeWei });
  const maxWei = (count + 1n) * feeWei;
  const adapted = await ask(pipeline, node.url, { ...asked, maxWei, body: { model: "harbour" } });
  const bodies = (await Promise.all([base.json(), adapted.json()])) as { receipt: Record<string, unknown> }[];
  const scored = async () => {
    await pipeline.world.client.mine({ blocks: 10 });
    return (await database().select().from(score)).length === Number(count) + 1;
  };
  await until("both are settled and scored", scored, 120_000);
  return bodies.map(({ receipt: signed }) => signed);
}

function train(): Promise<TrainedModel> {
  return trainOn(pipeline, folder, choice);
}

function elsewhere(root?: string, method: InfluenceMethod = "efim-dual") {
  return openElsewhere(pipeline, trained, method, root === undefined ? {} : { root });
}

/** Where the engine keeps what it made of the adapter. */
function here(): string {
  return join(pipeline.environment.ENGINE_FOLDER!, "adapters", trained.adapterHash);
}

/** Registers the adapter with every weight set to one value, its training published as it should be. */
async function publishSpoilt(weight: number): Promise<Hex> {
  const spoilt = await mkdtemp(join(folder, "spoilt-"));
  await cp(trained.adapterFolder, spoilt, { recursive: true });
  const path = join(spoilt, "adapter_model.safetensors");
  const bytes = await readFile(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  for (let at = start; at < bytes.length; at += 4) bytes.writeFloatLE(weight, at);
  await writeFile(path, bytes);
  const adapterHash = await hashAdapter(spoilt);
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, trained.modelId));
  const of = await readManifest(database(), row!.contentHash);
  const datanetOf = new Map([...of.trainRows, ...of.gateRows].map((id) => [id, 1n]));
  const packed = await packageTraining(
    { ...of, datanetIds: [1n], trainRows: [...of.trainRows], gateRows: [...of.gateRows] },
    { adapterFolder: spoilt, adapterHash, waypoints: [] },
    datanetOf,
    payloadBytesMax,
  );
  const name = "harbour";
  const modelId = modelIdOf(publisherOf(pipeline).owner.address.toLowerCase() as Hex, adapterHash, name);
  await publish(publisherOf(pipeline), spoilt, {
    ...{ modelId, name, artifactHash: adapterHash, baseModelId: pipeline.modelId },
    ...{ ownerBps: 5_000, pricePerCallWei: feeWei, package: packed },
  });
  return modelId;
}

/** Registers the adapter's files under another name, as if they were trained on what a later block draws. */
async function publishTwin(): Promise<Hex> {
  const twin = await mkdtemp(join(folder, "twin-"));
  const { db } = pipeline.world.database;
  const client = pipeline.world.client as never;
  const name = "twin";
  const plan = await planTraining({ db, client }, twin, {
    ...(await requestOf(pipeline, { ...choice, name })),
  });
  const { datanetOf } = await readRows(db, plan, modelFolder);
  const packed = await packageTraining(plan, trained, datanetOf, payloadBytesMax);
  const { adapterHash: artifactHash } = trained;
  const modelId = modelIdOf(publisherOf(pipeline).owner.address.toLowerCase() as Hex, artifactHash, name);
  await publish(publisherOf(pipeline), twin, {
    ...{ modelId, name, artifactHash, baseModelId: pipeline.modelId },
    ...{ ownerBps: 5_000, pricePerCallWei: feeWei, package: packed },
  });
  return modelId;
}

async function openBoss(): Promise<AsyncDisposable & { boss: PgBoss }> {
  const boss = new PgBoss({
    ...{ connectionString: pipeline.world.url, schema: "pgboss", supervise: false, schedule: false },
  });
  await boss.start();
  return { boss, [Symbol.asyncDispose]: () => boss.stop({ graceful: false }) };
}

async function readState(modelId: Hex): Promise<string | undefined> {
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, modelId));
  return row?.state;
}

/** Registers a model of the same files under another name, with a manifest of its own. */
async function publishForged(name: string, of: manifest.Manifest): Promise<Hex> {
  const { sender, modelId: base } = pipeline;
  const params = {
    artifactHash: of.adapterHash,
    ...{ configHash: zeroHash, trainingDataRoot: zeroHash, tokenizerHash: zeroHash },
    ...{ ownerBps: 5_000, provenanceMode: 0, pricePerCall: feeWei, uri: "" },
  };
  const parents = [{ modelId: base, weightBps: 10_000 }];
  const { logs } = await sender.send(owner, "modelRegistry", "registerModel", [name, 2, params, parents]);
  const modelId = logs[0]!.topics[1]!;
  const bytes = manifest.encode(of);
  const { DisperserClient } = await import("#eigenda/index");
  await using client = new DisperserClient({
    ...{
      url: pipeline.disperser.url,
      accountKey: eigendaKey,
      chainId: 31_337n,
      srs: pipeline.srs,
      pollMs: 20,
    },
  });
  const { certificate } = await client.disperse(bytes);
  await sender.send(owner, "modelRegistry", "publishManifest", [
    modelId,
    keccak256(bytes),
    toHex(certificate),
  ]);
  return modelId;
}

function database() {
  return pipeline.world.database.db;
}

async function stateOf(modelId: Hex): Promise<string | undefined> {
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, modelId));
  const [refused] = await refusalsOf(`training:${modelId}`);
  expect(refused, "nothing is refused").toBeUndefined();
  return row?.state;
}

function recordsOf(modelId: Hex) {
  return database()
    .select()
    .from(trainingRecord)
    .where(eq(trainingRecord.modelId, modelId))
    .orderBy(trainingRecord.index);
}

function refusalsOf(subject: string) {
  return database().select().from(refusal).where(eq(refusal.subject, subject));
}

function influencesOf(digest: Hex, player: "context" | "adapter") {
  return database()
    .select()
    .from(influence)
    .where(and(eq(influence.receiptDigest, digest), eq(influence.player, player)))
    .orderBy(influence.rank);
}

async function listed(url: string): Promise<string[]> {
  const response = await fetch(`${url}/v1/models`);
  const { data = [] } = (await response.json()) as { data?: { id: string }[] };
  return data.map(({ id }) => id);
}

/** Every file below a folder, by name. */
async function contentsOf(path: string): Promise<Map<string, string>> {
  const names = (await namesOf(path)).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(join(path, name))).toString("hex")] as const),
    ),
  );
}

/** Names of the files below a folder; none where it is not there, or goes while it is read. */
async function namesOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(path.length + 1));
}

/** A record of two hundred characters of some tokens each, and no word to cut it at: it fits into no row. */
const tooLong = "\u{1F6A2}\u{2693}".repeat(100);
