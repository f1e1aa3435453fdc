import { eq, inArray } from "drizzle-orm";
import { type Hex, keccak256, toHex, zeroHash } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DisperserClient } from "#eigenda/index";
import { sum } from "#schema/apportion";
import { isCausal } from "#schema/estimators";
import { influence, receipt, refusal, score } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import { owner } from "../indexer/test/life.ts";
import {
  ask,
  eigendaKey,
  feeWei,
  finalise,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
  startNode,
} from "./testing/pipeline.ts";

/** Engines that divide answers by other estimators than the default, one after another on one chain. */
let pipeline: Pipeline;
let node: Running;
let asked = 0;

beforeAll(async () => {
  pipeline = await openPipeline();
});

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

describe("an engine of another estimator", () => {
  it("scores a black box by likeness, says so, and leaves trainings to an engine that has the model", async () => {
    await using engine = await startEngine(pipeline, { ESTIMATOR: "black-box" });
    node = await startNode(pipeline);
    const modelId = await publishTraining();
    const digests = await askTwice();
    for (const { scores, influences } of await scoresOf(digests)) {
      expect(scores).toHaveLength(1);
      expect(scores[0]!.method).toContain("estimator black-box, not causal");
      expect(scores[0]).toMatchObject({ valueBaseWad: -(10n ** 18n), dataShareWad: 10n ** 18n / 2n });
      expect(sum(influences.map(({ scoreWad }) => scoreWad))).toBe(10n ** 18n / 2n);
      expect(new Set(influences.map(({ estimator }) => isCausal(estimator)))).toEqual(new Set([false]));
      expect(influences.every(({ standardErrorWad }) => standardErrorWad === null)).toBe(true);
    }
    expect(await stateOfTraining()).toEqual(["created"]);
    expect(await refusalsOf(modelId)).toEqual([]);
    expect(engine.log.join("\n")).toContain(
      'left to an engine that has the model {"queue":"fetch-training"}',
    );
  });

  it("by leaving one out stretches what it finds to the context's worth, and takes up the training that waited", async () => {
    await using _ = await startEngine(pipeline, { ESTIMATOR: "leave-one-out" });
    const digests = await askTwice();
    let stretched = 0;
    for (const { scores, influences } of await scoresOf(digests)) {
      expect(scores[0]!.method).toContain("estimator leave-one-out;");
      expect(new Set(influences.map(({ estimator }) => estimator))).toEqual(new Set(["leave-one-out"]));
      const gainWad = scores[0]!.valueBothWad - scores[0]!.valueBaseWad;
      if (gainWad <= 0n || influences.every(({ scoreWad }) => scoreWad === 0n)) continue;
      expect(sum(influences.map(({ scoreWad }) => scoreWad))).toBe(gainWad);
      stretched += 1;
    }
    expect(stretched).toBeGreaterThan(0);
    const modelId = await trainingModel();
    await until("the training is judged", async () => (await refusalsOf(modelId)).length > 0);
    expect(await refusalsOf(modelId)).toMatchObject([{ code: "malformed_payload" }]);
  });
});

/** Two questions, settled, final and scored; the digests of their receipts. */
async function askTwice(): Promise<Hex[]> {
  const before = new Set((await receipts()).map(({ digest }) => digest));
  for (const question of ["What does the harbour master keep?", "Where is salt stored?"]) {
    asked += 1;
    const maxWei = BigInt(asked) * feeWei;
    const response = await ask(pipeline, node.url, { channelId: pipeline.channelId, maxWei, question });
    expect(response.status).toBe(200);
  }
  const { read } = pipeline.sender;
  await until(
    "the batch is on chain",
    async () => (await read<bigint>("settlementHub", "batchCount")) === BigInt(asked / 2),
  );
  await finalise(pipeline.world);
  const fresh = async () => (await receipts()).filter(({ digest }) => !before.has(digest));
  await until("the receipts are there", async () => (await fresh()).length === 2);
  const digests = (await fresh()).map(({ digest }) => digest);
  await until("both are scored", async () => {
    const rows = await database().select().from(score).where(inArray(score.receiptDigest, digests));
    return rows.length === 2;
  });
  return digests;
}

function scoresOf(digests: readonly Hex[]) {
  return Promise.all(
    digests.map(async (digest) => ({
      scores: await database().select().from(score).where(eq(score.receiptDigest, digest)),
      influences: await database().select().from(influence).where(eq(influence.receiptDigest, digest)),
    })),
  );
}

/** Registers an adapter whose training payload nobody can read. */
async function publishTraining(): Promise<Hex> {
  const { sender, modelId: base, disperser, srs } = pipeline;
  const params = {
    artifactHash: keccak256(toHex("no adapter")),
    ...{ configHash: zeroHash, trainingDataRoot: zeroHash, tokenizerHash: zeroHash },
    ...{ ownerBps: 5_000, provenanceMode: 0, pricePerCall: feeWei, uri: "" },
  };
  const parents = [{ modelId: base, weightBps: 10_000 }];
  const { logs } = await sender.send(owner, "modelRegistry", "registerModel", [
    "waiting",
    2,
    params,
    parents,
  ]);
  const modelId = logs[0]!.topics[1]!;
  const bytes = new TextEncoder().encode("no training");
  await using client = new DisperserClient({
    ...{ url: disperser.url, accountKey: eigendaKey, chainId: 31_337n, srs, pollMs: 20 },
  });
  const { certificate } = await client.disperse(bytes);
  const published = [modelId, keccak256(bytes), toHex(certificate)];
  await sender.send(owner, "modelRegistry", "publishManifest", published);
  return modelId;
}

async function stateOfTraining(): Promise<string[]> {
  const jobs = await database().execute<{ state: string }>(
    "select state from pgboss.job where name = 'fetch-training'",
  );
  return jobs.map(({ state }) => state);
}

async function trainingModel(): Promise<Hex> {
  const jobs = await database().execute<{ modelId: Hex }>(
    `select data ->> 'modelId' as "modelId" from pgboss.job where name = 'fetch-training'`,
  );
  return jobs[0]!.modelId;
}

function refusalsOf(modelId: Hex) {
  return database()
    .select()
    .from(refusal)
    .where(eq(refusal.subject, `training:${modelId}`));
}

function receipts() {
  return database().select({ digest: receipt.digest }).from(receipt);
}

function database() {
  return pipeline.world.database.db;
}
