import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { PgBoss } from "pg-boss";
import { keccak256, toHex } from "viem";
import { jobsPerTurn } from "#engine/constants";
import { createMetrics } from "#engine/metrics";
import { createQueues } from "#engine/queue/queues";
import { work } from "#engine/queue/run-jobs";
import { openDatabase } from "#schema/database";
import { migrate } from "#schema/migrate";
import { startPostgres } from "#schema/testing/stack";
import { alone, type Benchmark } from "./report.ts";

const jobCount = 10_000;
/** What one job of this benchmark holds while it runs: prompts and values of an answer are less. */
const jobBytes = 1024 * 1024;
const mib = 1024 * 1024;

export const benchmark: Benchmark = {
  name: "queue",
  title: "Ten thousand queued receipts: jobs in hand and memory of the engine's own queue runner",
  conditions: `${jobCount} jobs of score-receipt in a real Postgres, each holds ${jobBytes / mib} MiB while it runs; the answers are not scored`,
  run: async () => {
    await using postgres = await startPostgres();
    const url = await postgres.url("queue");
    await migrate(url);
    await using database = openDatabase({ url, applicationName: "benchmark" });
    const boss = new PgBoss({ connectionString: url, schema: "pgboss", schedule: false });
    await boss.start();
    await createQueues(boss);
    const jobs = Array.from({ length: jobCount }, (_, index) => ({
      data: { eventId: "0", receiptDigest: keccak256(toHex(index)), index },
    }));
    await boss.insert("score-receipt", jobs);
    const before = process.memoryUsage.rss();
    const seen = { inHand: 0, inHandMax: 0, rssMax: before, done: 0 };
    const log = { info: () => undefined, error: () => undefined };
    await work({ db: database.db, boss, metrics: createMetrics(), log }, "score-receipt", async () => {
      seen.inHandMax = Math.max(seen.inHandMax, ++seen.inHand);
      const held = new Uint8Array(jobBytes).fill(1);
      await sleep(1);
      seen.rssMax = Math.max(seen.rssMax, process.memoryUsage.rss());
      seen.done += held[0]!;
      seen.inHand--;
    });
    while (seen.done < jobCount) await sleep(50);
    await boss.stop({ graceful: true });
    const [row] = await database.db.execute<{ failed: number }>(
      sql`select count(*)::int as failed from pgboss.job where state = 'failed'`,
    );
    return [
      alone("jobs in hand at once", "jobs", seen.inHandMax, { max: jobsPerTurn }),
      alone("memory above that with the queue full", "MiB", (seen.rssMax - before) / mib, { max: 256 }),
      alone("jobs failed", "jobs", row!.failed, { max: 0 }),
    ];
  },
};
