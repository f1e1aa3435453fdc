import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Drizzle } from "#schema/database";
import type { Log } from "#schema/log";
import { progressSeconds } from "../constants.ts";
import type { Metrics } from "../metrics.ts";
import { countDeadLetters } from "./dead-letters.ts";
import { queueNames } from "./queues.ts";

type Parts = { db: Drizzle; metrics: Metrics; log: Log };

/** Tell how many jobs wait, run and failed for good, in metrics always and in the log where it changed; until `signal`. */
export async function watchProgress(parts: Parts, signal: AbortSignal): Promise<void> {
  let told = "";
  while (!signal.aborted) {
    try {
      told = await tell(parts, told);
    } catch (error) {
      // A database that is away is told of by who needs it; this only looks again.
      parts.log.error("counting jobs failed", error);
    }
    await sleep(progressSeconds * 1_000, undefined, { signal }).catch((error) => {
      if (!signal.aborted) throw error;
    });
  }
}

const states = { created: "waiting", retry: "waiting", active: "active" } as const;

async function tell({ db, metrics, log }: Parts, told: string): Promise<string> {
  const rows = await db.execute<{ name: string; state: keyof typeof states; jobs: number }>(
    sql`select name, state, count(*)::int as jobs from pgboss.job
        where state in ('created', 'retry', 'active') group by name, state`,
  );
  const counts = Object.fromEntries(queueNames.map((name) => [name, { waiting: 0, active: 0 }]));
  for (const { name, state, jobs } of rows) {
    const queue = counts[name];
    if (queue !== undefined) queue[states[state]] += jobs;
  }
  for (const [queue, { waiting, active }] of Object.entries(counts)) {
    metrics.queued.set({ queue, state: "waiting" }, waiting);
    metrics.queued.set({ queue, state: "active" }, active);
  }
  const deadLetters = await countDeadLetters(db);
  metrics.deadLetters.set(deadLetters);
  const line = JSON.stringify({ ...counts, deadLetters });
  if (line !== told) log.info("progress", { ...counts, deadLetters });
  return line;
}
