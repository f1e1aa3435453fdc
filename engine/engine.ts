import { PgBoss } from "pg-boss";
import { createPublicClient, type Hex, http, type PublicClient } from "viem";
import {
  Archive,
  type BlobSource,
  developmentSrs,
  RelayClient,
  retrievePayload,
  type Srs,
  verifyCertificate,
} from "#eigenda/index";
import { consumeEvents } from "#schema/consume";
import { type Database, type Drizzle, openDatabase } from "#schema/database";
import { serveHealth } from "#schema/health";
import type { Log } from "#schema/log";
import { createAdapters } from "./adapter/adapters.ts";
import { adoptMethod } from "./adopt-method.ts";
import { archiveStores } from "./archive-stores.ts";
import { keepArchive, readNamed } from "./archivist.ts";
import { createClassifier } from "./classify.ts";
import type { Config } from "./config.ts";
import { archivedUnpaidMax, jobsPerTurn, jobWatchSeconds, stopMsMax } from "./constants.ts";
import { type GradientDevice, openGradientDevice } from "./device/device.ts";
import { fetchBatch } from "./fetch/batch.ts";
import { fetchContribution } from "./fetch/contribution.ts";
import type { BlobReader } from "./fetch/payload.ts";
import { createPosted } from "./fetch/posted.ts";
import { readFinalHash } from "./final-hash.ts";
import { createSpanFinder } from "./find-spans.ts";
import { cursorName, takeEvent } from "./intake.ts";
import { describeMethod, type Method } from "./method.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { openPool, type Pool } from "./pool.ts";
import { publishShippedReport } from "./publish-report.ts";
import { watchProgress } from "./queue/progress.ts";
import { createQueues, type QueueName, queueNames } from "./queue/queues.ts";
import { recoverJobs } from "./queue/recover-jobs.ts";
import { type Handlers, type JobParts, work } from "./queue/run-jobs.ts";
import { scoreReceipt } from "./score-receipt.ts";

/**
 * Run the engine until `signal` aborts: final events become jobs, jobs become chunks, receipts and scores.
 * `onReady` gets the URL of /health and /metrics. Jobs in hand end before this returns, within `stopMsMax`; others
 * wait in the queue.
 * @throws what stops it: a deep reorganisation, a cursor of another chain, a model that cannot be opened, a port in use.
 */
export async function runEngine(
  config: Config,
  log: Log,
  signal: AbortSignal,
  onReady: (url: string) => void,
): Promise<void> {
  await using database = openDatabase({
    url: config.databaseUrl,
    applicationName: "engine",
    connections: jobsPerTurn,
  });
  const { modelFolder: folder, workers, adaptableModules, estimator } = config;
  // A black-box model is asked nothing: its weights are elsewhere.
  await using pool = estimator === "black-box" ? null : await openPool({ folder, workers, adaptableModules });
  await using device = pool && openGradientDevice({ folder, adaptableModules, device: config.device, log });
  await device?.check();
  const srs = await developmentSrs({ folder: config.srsFolder });
  await using relay = new RelayClient({ relayUrl: () => config.disperserUrl, srs });
  await using archive = openArchive(config, srs, relay);
  const method = describeMethod(pool?.profile ?? null, config);
  const metrics = createMetrics();
  await using queue = await openQueue(config, log);
  const { boss } = queue;
  const { db } = database;
  await using mark = await recoverJobs(config, method.hash, database, boss);
  const adopted = await adoptMethod(db, boss, method.hash);
  if (pool !== null) await publishShippedReport(db, pool.artifactHash);
  const check: BlobReader["check"] = (certificate) =>
    verifyCertificate(certificate, { level: "inclusion+signature", srs });
  const reader: BlobReader = { check, retrieve: retrieverOf([relay, archive], metrics, log) };
  const client = createPublicClient({ transport: http(config.rpcUrl, { batch: true }), cacheTime: 0 });
  const handlers = handlersOf({ config, db, boss, reader, client, pool, device, method, log });
  const parts = { db, boss, metrics, log };
  const takeFrom = <Q extends QueueName>(name: Q) => take<Q>(parts, name, handlers[name]);
  for (const name of queueNames) await takeFrom(name);
  await using health = await serveHealth(config.metricsPort, metrics.registry, () => ({
    ok: true,
    methodHash: method.hash,
  }));
  log.info("ready", {
    methodHash: method.hash,
    artifactHash: pool?.artifactHash ?? null,
    threads: pool?.threads ?? 0,
    device: config.device,
    recoveredJobs: mark.recovered,
    adopted,
  });
  onReady(health.url);
  const ended = new AbortController();
  const onLeftOut = tellLeftOut(metrics, log);
  const watching = watchProgress(parts, ended.signal);
  const named = () => readNamed(db, onLeftOut);
  const { archiveSweepMs: sweepMs } = config;
  const keeping = archive && { named, client, archive, source: relay, check, metrics, log, sweepMs };
  const keep = keeping && keepArchive(keeping, ended.signal);
  try {
    await followEvents(client, database, boss, { metrics, log }, signal);
  } finally {
    ended.abort();
    await Promise.all([keep, watching]);
  }
}

/** Take a queue's jobs, or leave them where they are. */
async function take<Q extends QueueName>(
  parts: JobParts,
  name: Q,
  handler: Handlers[Q] | undefined,
): Promise<void> {
  if (handler !== undefined) return work(parts, name, handler);
  parts.log.info("jobs left to an engine that has the model", { queue: name });
}

/** Says how many trainings wait outside the archive, once for each number. */
function tellLeftOut(metrics: Metrics, log: Log): (count: number) => void {
  let told = 0;
  return (count) => {
    metrics.archiveUnpaid.set(count);
    if (count !== told)
      log.info("trainings not archived", { code: "archive_unpaid_full", count, max: archivedUnpaidMax });
    told = count;
  };
}

type Means = {
  config: Config;
  db: Drizzle;
  boss: PgBoss;
  reader: BlobReader;
  client: PublicClient;
  pool: Pool | null;
  device: GradientDevice | null;
  method: Method;
  log: Log;
};

/** Without a model nothing is done about trainings: their jobs wait for an engine that has it. */
function handlersOf(means: Means): Partial<Handlers> {
  const { config, db, boss, reader, client, pool, device, method, log } = means;
  const hub = config.contracts.settlementHub.toLowerCase() as Hex;
  const { chainId, estimator } = config;
  const classifier = createClassifier(db);
  const { deployBlock } = config;
  const posted = createPosted(client, reader.retrieve, {
    ledger: config.contracts.attributionLedger,
    deployBlock,
  });
  const adapters =
    pool === null
      ? null
      : createAdapters({ db, boss, pool, device, reader, client, methodHash: method.hash, log }, config);
  const openAdapter = adapters?.open ?? null;
  const finalBlockHash = (block: bigint) => readFinalHash(db, client, block);
  const scoring = { db, pool, method, estimator, openAdapter, finalBlockHash };
  return {
    "fetch-contribution": (task) => fetchContribution({ db, boss, reader, posted }, task),
    "classify-chunks": async ({ data }) => {
      const hasMore = await classifier.advance();
      if (hasMore) await boss.send("classify-chunks", data);
    },
    ...(adapters && { "fetch-training": adapters.fetchTraining, "build-store": adapters.buildStore }),
    "fetch-batch": (task) => fetchBatch({ db, boss, reader, chainId, hub }, task),
    "score-receipt": (task) => scoreReceipt(scoring, task),
    "find-spans": createSpanFinder(db),
  };
}

/** Null where none is configured: blobs are then gone after 14 days. */
function openArchive(config: Config, srs: Srs, source: BlobSource): Archive | null {
  const stores = archiveStores(config.archive);
  return stores && new Archive({ stores, srs, source });
}

/** Reads from the relays first, and says who served what they did not. */
function retrieverOf(
  places: readonly (BlobSource | null)[],
  metrics: Metrics,
  log: Log,
): BlobReader["retrieve"] {
  const sources = places.filter((place) => place !== null);
  return async (certificate) => {
    const { payload, servedBy } = await retrievePayload(certificate, sources);
    const [source = ""] = servedBy.split(" ");
    metrics.blobsServed.inc({ source });
    if (source !== "relay") log.info("blob not served by a relay", { servedBy });
    return payload;
  };
}

async function followEvents(
  client: PublicClient,
  database: Database,
  boss: PgBoss,
  { metrics, log }: { metrics: Metrics; log: Log },
  signal: AbortSignal,
): Promise<void> {
  await consumeEvents({
    database,
    client,
    name: cursorName,
    apply: (tx, event) => takeEvent(boss, tx, event),
    signal,
    onProgress: ({ events, final }) => {
      metrics.events.inc(events);
      metrics.finalBlock.set(Number(final.blockNumber));
    },
    onFailure: (error, attempt) => {
      metrics.intakeFailures.inc();
      log.error(`reading events failed, try ${attempt}`, error);
    },
  });
}

/** pg-boss in its own schema of the same database. It reconnects by itself; what it reports is logged. */
async function openQueue({ databaseUrl }: Config, log: Log): Promise<AsyncDisposable & { boss: PgBoss }> {
  const boss = new PgBoss({
    connectionString: databaseUrl,
    schema: "pgboss",
    application_name: "engine queue",
    max: 4,
    schedule: false,
    superviseIntervalSeconds: jobWatchSeconds,
    monitorIntervalSeconds: jobWatchSeconds,
  });
  boss.on("error", (error) => log.error("queue", error));
  await boss.start();
  await createQueues(boss);
  return { boss, [Symbol.asyncDispose]: () => boss.stop({ graceful: true, timeout: stopMsMax }) };
}
