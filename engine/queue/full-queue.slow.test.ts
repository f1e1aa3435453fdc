import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { PgBoss } from "pg-boss";
import { keccak256, toHex } from "viem";
import { expect, it } from "vitest";
import { openDatabase } from "#schema/database";
import { migrate } from "#schema/migrate";
import { startPostgres, until } from "#schema/testing/stack";
import { jobsPerTurn } from "../constants.ts";
import { createMetrics } from "../metrics.ts";
import { createQueues } from "./queues.ts";
import { work } from "./run-jobs.ts";

const jobCount = 10_000;
const mib = 1024 * 1024;

it("holds eight of ten thousand queued receipts, and memory for no more", async () => {
  await using postgres = await startPostgres();
  const url = await postgres.url("queue");
  await migrate(url);
  await using database = openDatabase({ url, applicationName: "queue test" });
  const boss = new PgBoss({ connectionString: url, schema: "pgboss", schedule: false });
  await boss.start();
  await createQueues(boss);
  const jobs = Array.from({ length: jobCount }, (_, index) => ({
    data: { eventId: "0", receiptDigest: keccak256(toHex(index)), index },
  }));
  await boss.insert("score-receipt", jobs);
  const before = process.memoryUsage.rss();
  const seen = { inHand: 0, inHandMax: 0, rssMax: before, indices: new Set<number>() };
  const log = { info: () => undefined, error: () => undefined };
  await work({ db: database.db, boss, metrics: createMetrics(), log }, "score-receipt", async ({ data }) => {
    seen.inHandMax = Math.max(seen.inHandMax, ++seen.inHand);
    // More than prompts and values of an answer take.
    const held = new Uint8Array(mib).fill(1);
    await sleep(1);
    seen.rssMax = Math.max(seen.rssMax, process.memoryUsage.rss());
    if (held[0] === 1) seen.indices.add(data.index);
    seen.inHand--;
  });
  await until("all are done", async () => seen.indices.size === jobCount, 300_000);
  await boss.stop({ graceful: true });
  const [row] = await database.db.execute<{ failed: number }>(
    sql`select count(*)::int as failed from pgboss.job where state = 'failed'`,
  );
  expect(row!.failed).toBe(0);
  expect(seen.inHandMax).toBeLessThanOrEqual(jobsPerTurn);
  expect((seen.rssMax - before) / mib).toBeLessThan(256);
});
