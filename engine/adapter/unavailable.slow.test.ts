/** A training whose payload nobody serves while its epoch is posted, and everybody again when a second engine is built. */
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq, sql } from "drizzle-orm";
import { hexToBytes } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainedModel } from "#cli/train/adapter";
import * as engineTables from "#schema/offchain/40-engine";
import { epochRun } from "#schema/offchain/50-settlement";
import { compareStates, stateHash } from "#schema/state-hash";
import { until } from "#schema/testing/stack";
import { isUnscored } from "#settlement/allocation/facts";
import * as provenance from "#settlement/blob/provenance";
import { runTables } from "#settlement/loaders/runs";
import { contributor } from "../../indexer/test/life.ts";
import { openSettlement } from "../../settlement/testing/settled-world.ts";
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

const { adapter, chunk, cursor, receipt, refusal, score } = engineTables;
/** What an engine makes of chain and DA. */
const engineRows = [
  ...[engineTables.payload, refusal, engineTables.span, engineTables.spanCredit, engineTables.deadLetter],
  ...[engineTables.trainingRecord, adapter, chunk, receipt, engineTables.candidate, engineTables.duplicate],
  ...[score, engineTables.influence],
];

let pipeline: Pipeline;
let folder: string;
let trained: TrainedModel;
/** Where the relay keeps the training's blob, and where it lies while nobody serves it. */
let served: string;
let hidden: string;
let asked = 0n;

beforeAll(async () => {
  pipeline = await openPipeline();
  await contribute(pipeline, contributor, madeUpTexts(20));
  await finalise(pipeline.world);
  folder = await mkdtemp(join(tmpdir(), "tributary-unavailable-"));
  await using _ = await start("first");
  await until("the chunks are there", async () => (await database().select().from(chunk)).length > 20);
  const accepted = join(pipeline.world.folder, "blobs/accepted");
  const before = await readdir(accepted);
  trained = await trainOn(pipeline, join(folder, "training"), { name: "lock", steps: 5, gateRecords: 2 });
  const added = (await readdir(accepted)).filter((name) => !before.includes(name));
  expect(added, "a training is one blob").toHaveLength(1);
  served = join(accepted, added[0]!);
  hidden = join(folder, "hidden");
  await finalise(pipeline.world);
  await until("the adapter is ready", async () => (await stateOf()) === "ready", 240_000);
}, 600_000);

afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("a training that its epoch's poster could not have", () => {
  it("is listed there, and its model's receipts stand unscored", async () => {
    await answerBoth();
    await rename(served, hidden);
    await forget();
    await using _ = await start("poster");
    await giveUp();
    await until(
      "the adapter's receipt is judged",
      async () => (await refusals("model_unavailable")).length > 0,
    );
    await until("the base's is scored", async () => (await scores()) === 1, 120_000);
    expect(await stateOf()).toBeUndefined();
    await using settlement = openSettlement(pipeline);
    await settlement.drive(/^final$/);
    const { unavailable, receipts } = await payloadOf(1n);
    expect(unavailable).toEqual([{ subject: subject(), code: "da_unavailable" }]);
    const judged = receipts.map((one) => [one.modelId, isUnscored(one)]);
    expect(judged).toEqual([
      [pipeline.modelId, false],
      [trained.modelId, true],
    ]);
  }, 600_000);

  it("is judged so by an engine built later too, which has the blob and scores the receipts", async () => {
    const before = await state();
    await rename(hidden, served);
    await forget();
    await using _ = await start("later");
    await until("it is ready", async () => (await stateOf()) === "ready", 240_000);
    await until("both are scored", async () => (await scores()) === 2, 240_000);
    expect(await refusals()).toEqual([]);
    await using settlement = openSettlement(pipeline);
    const follower = { ...settlement.context, poster: null };
    const computed = await settlement.drive(/^computed/, follower);
    expect(computed.what).toContain(`${subject()} left out by the poster's judgement`);
    await settlement.drive(/^final$/, follower);
    expect(compareStates(before, await state())).toEqual([]);
    // The judgement was of its day: the next epoch has the training.
    await answerBoth();
    await until("the next are scored", async () => (await scores()) === 4, 240_000);
    await settlement.drive(/^final$/);
    const next = await payloadOf(2n);
    expect(next.unavailable).toEqual([]);
    expect(next.receipts.map(isUnscored)).toEqual([false, false]);
  }, 900_000);
});

/** An engine with nothing on its disk and no archive. */
function start(name: string): Promise<Running> {
  const { ARCHIVE_FOLDER: _, ...environment } = pipeline.environment;
  return startEngine({ environment }, { ENGINE_FOLDER: join(folder, name) });
}

/** An answer of the base and one of the adapter, a batch; settled and final. An epoch that pays nobody is not proposed. */
async function answerBoth(): Promise<void> {
  await using node = await startNode(pipeline);
  await until("the adapter is listed", async () => (await listed(node.url)).includes("lock"));
  const question = "What does harbour.md#0 say about the harbour master keeps?";
  for (const body of [{}, { model: "lock" }]) {
    const call = { channelId: pipeline.channelId, question, maxWei: ++asked * feeWei, body };
    const response = await ask(pipeline, node.url, call);
    expect(response.ok, await response.text()).toBe(true);
  }
  const batches = () => pipeline.sender.read<bigint>("settlementHub", "batchCount");
  await until("they are on chain", async () => (await batches()) === asked / 2n, 60_000);
  await finalise(pipeline.world);
}

async function scores(): Promise<number> {
  return (await database().select().from(score)).length;
}

/** The next failure of the job that fetches it is its last, as after an hour of tries. */
async function giveUp(): Promise<void> {
  await until(
    "the training is given up",
    async () => {
      await database().execute(sql`update pgboss.job set retry_limit = retry_count, start_after = now()
        where name = 'fetch-training' and state in ('created', 'retry')`);
      return (await refusals("da_unavailable")).length > 0;
    },
    120_000,
  );
}

/** All that engine and settlement made, as an empty database has it. */
async function forget(): Promise<void> {
  for (const table of [...runTables, ...engineRows]) await database().delete(table);
  await database().delete(cursor).where(eq(cursor.name, "engine"));
  await database().execute(sql`drop schema pgboss cascade`);
}

function state() {
  return stateHash(pipeline.world.database.sql, "full");
}

async function payloadOf(epochId: bigint): Promise<provenance.Provenance> {
  const [run] = await database().select().from(epochRun).where(eq(epochRun.epochId, epochId));
  const decoded = provenance.decode(hexToBytes(run!.payload));
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}

async function stateOf(): Promise<string | undefined> {
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, trained.modelId));
  return row?.state;
}

async function refusals(code?: string) {
  const rows = await database().select().from(refusal);
  return rows.filter((row) => code === undefined || row.code === code);
}

async function listed(url: string): Promise<string[]> {
  const { data = [] } = (await (await fetch(`${url}/v1/models`)).json()) as { data?: { id: string }[] };
  return data.map(({ id }) => id);
}

function subject(): string {
  return `training:${trained.modelId}`;
}

function database() {
  return pipeline.world.database.db;
}
