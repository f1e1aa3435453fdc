import type { JobResult, JobWithMetadata, PgBoss } from "pg-boss";
import type { Drizzle } from "#schema/database";
import { describe, type Log } from "#schema/log";
import { jobsPerTurn, queuePollSeconds } from "../constants.ts";
import type { Metrics } from "../metrics.ts";
import { forgetDeadLetter, keepDeadLetter } from "./dead-letters.ts";
import type { Jobs, QueueName } from "./queues.ts";

/** A job in hand. `isLastTry`: if this fails too, it will not be tried again. `signal` aborts when it is cancelled. */
export type Task<Q extends QueueName> = { data: Jobs[Q]; isLastTry: boolean; signal: AbortSignal };

export type Handlers = { [Q in QueueName]: (task: Task<Q>) => Promise<void> };

/** What taking jobs needs. */
export type JobParts = { db: Drizzle; boss: PgBoss; metrics: Metrics; log: Log };

/**
 * Take jobs from a queue, several at once, each settled on its own: done, or failed and tried again later by pg-boss.
 * A handler throws only for what may be better next time; what will not is a refusal and done.
 */
export async function work<Q extends QueueName>(
  { db, boss, metrics, log }: JobParts,
  name: Q,
  handler: Handlers[Q],
): Promise<void> {
  const settle = async (job: JobWithMetadata<Jobs[Q]>): Promise<JobResult> => {
    const stopTimer = metrics.jobSeconds.startTimer({ queue: name });
    const isLastTry = job.retryCount >= job.retryLimit;
    try {
      await handler({ data: job.data, isLastTry, signal: job.signal });
      if (job.retryCount > 0) await forgetDeadLetter(db, job.id);
      metrics.jobs.inc({ queue: name, result: "completed" });
      return { id: job.id, status: "completed" };
    } catch (error) {
      log.error(
        `${name} ${JSON.stringify(job.data)} failed, try ${job.retryCount + 1} of ${job.retryLimit + 1}`,
        error,
      );
      metrics.jobs.inc({ queue: name, result: "failed" });
      if (isLastTry) await keepDeadLetter(db, job, error);
      return { id: job.id, status: "failed", output: { reason: describe(error) } };
    } finally {
      stopTimer();
    }
  };
  const options = {
    batchSize: jobsPerTurn,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: queuePollSeconds,
    includeMetadata: true,
    perJobResults: true,
  } as const;
  await boss.work<Jobs[Q], unknown, typeof options>(name, options, (jobs) => Promise.all(jobs.map(settle)));
}
