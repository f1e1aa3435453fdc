import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { type Database, openDatabase } from "#schema/database";
import { invariant } from "#schema/errors";
import { chunk, influence, refusal, score, span } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import {
  ask,
  contribute,
  feeWei,
  finalise,
  openChannel,
  openPipeline,
  type Pipeline,
  spawnStage,
  startEngine,
  startNode,
} from "../engine/testing/pipeline.ts";
import { madeUpTexts } from "../engine/testing/training.ts";
import { contributor } from "../indexer/test/life.ts";
import { familyMs, parentOf, processMs } from "./process-time.ts";
import { alone, type Benchmark, compare, type Row } from "./report.ts";

/** A channel pays for 100. */
const channelReceipts = 80;
const channels = 2;
const receiptCount = channels * channelReceipts;
const chunkCount = 60;
const idleMs = 6_000;

type Setup = { name: string; processes: number; workers: number };
const setups: readonly Setup[] = [
  { name: "one", processes: 1, workers: 1 },
  { name: "workers", processes: 1, workers: 2 },
  { name: "processes", processes: 2, workers: 1 },
];

export const benchmark: Benchmark = {
  name: "engine",
  title: "Receipts through the whole engine: event, blob from DA, checks, scores, verbatim spans, rows",
  conditions: `${receiptCount} paid answers of the small model over four passages in batches of 20; PostgreSQL, chain, disperser and node are real; every run begins with a copy of one database; counted from all engines being ready; CPU of the engines' and of PostgreSQL's processes`,
  run: async () => {
    await using pipeline = await openPipeline();
    await answerAll(pipeline);
    const [one, workers, processes] = [
      await measure(pipeline, setups[0]!),
      await measure(pipeline, setups[1]!),
      await measure(pipeline, setups[2]!),
    ];
    invariant(
      workers.content === one.content && processes.content === one.content,
      "all write the same rows",
    );
    return rowsOf(one, workers, processes);
  },
};

type Measured = {
  perSecond: number;
  engineMs: number;
  postgresMs: number;
  /** CPU of PostgreSQL that one idle engine costs, in ms a second. */
  idleMs: number;
  content: string;
};

function rowsOf(one: Measured, workers: Measured, processes: Measured): Row[] {
  const machines = 100;
  const rate = machines * workers.perSecond;
  const postgresCores = (rate * workers.postgresMs + machines * workers.idleMs) / 1_000;
  return [
    alone("one process, one worker", "receipts/s", one.perSecond, { min: 1 }),
    compare("one process, two workers", "receipts/s", workers.perSecond, one.perSecond, "one worker", 1.6),
    compare("two processes of one worker", "receipts/s", processes.perSecond, one.perSecond, "one", 1.6),
    alone("engine, one worker", "CPU ms/receipt", one.engineMs, { max: 1_000 }),
    alone("engine, two processes", "CPU ms/receipt", processes.engineMs, { max: 1_000 }),
    alone("PostgreSQL", "CPU ms/receipt", workers.postgresMs, { max: 50 }),
    alone("PostgreSQL for an idle engine", "CPU ms/s", workers.idleMs, { max: 100 }),
    alone(`${machines} machines of two workers, were nothing shared full`, "receipts/s", rate, { min: 100 }),
    alone("PostgreSQL's cores at that rate", "cores", postgresCores, { max: 32 }),
  ];
}

/** Chunks fetched, all questions asked and paid, their batches final: what engines find when they start. */
async function answerAll(pipeline: Pipeline): Promise<void> {
  const { world } = pipeline;
  const { db } = world.database;
  const texts = madeUpTexts(chunkCount);
  await contribute(pipeline, contributor, texts);
  await finalise(world);
  {
    await using _ = await startEngine(pipeline, { ENGINE_WORKERS: "1" });
    await until(
      "all chunks are there",
      async () => (await db.select().from(chunk)).length >= chunkCount,
      60_000,
    );
  }
  await using node = await startNode(pipeline, { BATCH_RECEIPTS: "20", BATCH_AGE_MS_MAX: "300000" });
  const ids = [pipeline.channelId, await openChannel(pipeline, 2)];
  await finalise(world);
  await Promise.all(
    ids.map(async (channelId, at) => {
      for (let index = 0; index < channelReceipts; index++) {
        const phrase = texts[(at * channelReceipts + index) % chunkCount]!.split(" ").slice(3, 7).join(" ");
        const question = `What is said about ${phrase}, asked for time ${index}?`;
        const response = await ask(pipeline, node.url, {
          channelId,
          question,
          maxWei: BigInt(index + 1) * feeWei,
        });
        invariant(response.ok, `question ${index} is answered: ${response.status}`);
        await response.text();
      }
    }),
  );
  await until("all are settled", async () => (await settledCount(world.database)) === receiptCount, 120_000);
  await finalise(world);
}

async function settledCount({ db }: Database): Promise<number> {
  const [row] = await db.execute<{ count: string }>(
    sql`select coalesce(sum((args->>'calls')::int), 0) as count from onchain.event where name = 'BatchSettled'`,
  );
  return Number(row!.count);
}

async function measure(pipeline: Pipeline, { name, processes, workers }: Setup): Promise<Measured> {
  const url = await copyDatabase(pipeline, `engine_${name}`);
  await using database = openDatabase({ url, applicationName: "benchmark" });
  const [backend] = await database.db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
  const postmaster = parentOf(backend!.pid);
  const environment = {
    ...pipeline.environment,
    DATABASE_URL: url,
    ENGINE_WORKERS: `${workers}`,
    ENGINE_FOLDER: join(pipeline.world.folder, `engine-${name}`),
    ARCHIVE_FOLDER: join(pipeline.world.folder, `archive-${name}`),
  };
  const engines = await Promise.all(
    Array.from({ length: processes }, () => spawnStage({ environment }, "engine/main.ts")),
  );
  const engineMs = () => engines.reduce((sum, { pid }) => sum + processMs(pid), 0);
  try {
    const count = () => scoredCount(database);
    const before = {
      count: await count(),
      at: performance.now(),
      engine: engineMs(),
      postgres: familyMs(postmaster),
    };
    while ((await count()) < receiptCount) await sleep(100);
    const done = receiptCount - before.count;
    const found = {
      perSecond: (done * 1_000) / (performance.now() - before.at),
      engineMs: (engineMs() - before.engine) / done,
      postgresMs: (familyMs(postmaster) - before.postgres) / done,
    };
    await until("all spans are found", async () => (await openJobs(database)) === 0, 120_000);
    const idleFrom = familyMs(postmaster);
    await sleep(idleMs);
    const idle = ((familyMs(postmaster) - idleFrom) * 1_000) / idleMs / processes;
    return { ...found, idleMs: idle, content: await contentOf(database) };
  } finally {
    for (const engine of engines) await engine.end("SIGTERM");
  }
}

/** A database that is a copy of the pipeline's; its connections are cut, as PostgreSQL copies none in use. */
async function copyDatabase({ world }: Pipeline, name: string): Promise<string> {
  const url = new URL(world.url);
  const from = url.pathname.slice(1);
  url.pathname = "/postgres";
  await using maintenance = openDatabase({ url: url.href, applicationName: "benchmark" });
  await maintenance.db.execute(
    sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${from}`,
  );
  await maintenance.db.execute(sql.raw(`create database ${name} template ${from}`));
  url.pathname = `/${name}`;
  return url.href;
}

async function scoredCount({ db }: Database): Promise<number> {
  const refused = await db.select().from(refusal);
  invariant(refused.length === 0, `nothing is refused: ${refused[0]?.reason}`);
  return db.$count(score);
}

async function openJobs({ db }: Database): Promise<number> {
  const [row] = await db.execute<{ count: string }>(
    sql`select count(*) as count from pgboss.job where state in ('created', 'retry', 'active')`,
  );
  return Number(row!.count);
}

/** Scores, influences and spans, in one order, without the time. */
async function contentOf({ db }: Database): Promise<string> {
  const scores = await db.select().from(score).orderBy(score.receiptDigest);
  const influences = await db.select().from(influence).orderBy(influence.receiptDigest, influence.rank);
  const spans = await db.$count(span);
  const lines = [...scores.map(({ receiptDigest, dataShareWad }) => `${receiptDigest} ${dataShareWad}`)];
  for (const { receiptDigest, chunkId, scoreWad } of influences)
    lines.push(`${receiptDigest} ${chunkId} ${scoreWad}`);
  return [...lines, spans].join("\n");
}
