/** A training of more records than the dual form takes, with nothing lowered for the test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TrainedModel } from "#cli/train/adapter";
import { adapter, influence, refusal, score, trainingRecord } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import { contributor } from "../../indexer/test/life.ts";
import { dualRecordsMax } from "../influence/efim.ts";
import {
  ask,
  contribute,
  feeWei,
  finalise,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
  startNode,
} from "../testing/pipeline.ts";
import { madeUpTexts, trainOn } from "../testing/training.ts";

const recordsMax = 10_100;
const textsPerContribution = 2_600;
const readyMsMax = 3_000_000;
const gateRecords = 8;

let pipeline: Pipeline;
let engine: Running;
let folder: string;
let trained: TrainedModel;

beforeAll(async () => {
  pipeline = await openPipeline();
  const texts = [...new Set(madeUpTexts(4 * textsPerContribution))];
  for (let from = 0; from < texts.length; from += textsPerContribution)
    await contribute(pipeline, contributor, texts.slice(from, from + textsPerContribution));
  await finalise(pipeline.world);
  engine = await startEngine(pipeline, { ENGINE_WORKERS: "2" });
  folder = await mkdtemp(join(tmpdir(), "tributary-large-"));
  trained = await trainOn(pipeline, folder, { name: "pier", steps: 20, recordsMax, gateRecords });
  await finalise(pipeline.world);
}, 900_000);

afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it(`stores, judges and pays by more than ${dualRecordsMax} records in primal form`, async () => {
  const startedAt = Date.now();
  let told: string | undefined;
  await until(
    "the adapter is ready",
    async () => {
      const line = engine.log.at(-1);
      if (line !== told) console.log(line);
      told = line;
      return (await stateOf()) === "ready";
    },
    readyMsMax,
  );
  const { rss } = process.memoryUsage();
  console.log(`ready after ${Math.round((Date.now() - startedAt) / 1_000)} s, ${Math.round(rss / 1e6)} MB`);
  const judged = await database()
    .select({ sum: trainingRecord.gateSumMicro, count: trainingRecord.gateCount })
    .from(trainingRecord)
    .where(eq(trainingRecord.modelId, trained.modelId));
  expect(judged.length).toBeGreaterThan(dualRecordsMax);
  expect(judged.every(({ count }) => count === gateRecords)).toBe(true);
  expect(judged.some(({ sum }) => sum !== 0n)).toBe(true);

  await using node = await startNode(pipeline, { BATCH_RECEIPTS: "1" });
  await until("the adapter is listed", async () => (await listed(node.url)).includes("pier"));
  const question = "What does pier.md#0 say about the harbour master keeps?";
  const { channelId } = pipeline;
  await ask(pipeline, node.url, { channelId, question, maxWei: feeWei, body: { model: "pier" } });
  await until(
    "it is settled and scored",
    async () => {
      await pipeline.world.client.mine({ blocks: 10 });
      return (await database().select().from(score)).length === 1;
    },
    readyMsMax,
  );
  const rows = await database().select().from(influence).where(eq(influence.player, "adapter"));
  expect(rows.length).toBeGreaterThan(0);
  expect(new Set(rows.map(({ estimator }) => estimator))).toEqual(new Set(["efim-primal"]));
}, 7_200_000);

function database() {
  return pipeline.world.database.db;
}

async function stateOf(): Promise<string | undefined> {
  const refused = await database().select().from(refusal);
  expect(refused, "nothing is refused").toEqual([]);
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, trained.modelId));
  return row?.state;
}

async function listed(url: string): Promise<string[]> {
  const { data = [] } = (await (await fetch(`${url}/v1/models`)).json()) as { data?: { id: string }[] };
  return data.map(({ id }) => id);
}
