import { sql } from "drizzle-orm";
import { fromDrizzle, type PgBoss, type QueueOptions } from "pg-boss";
import type { Hex } from "viem";
import type { Transaction } from "#schema/database";
import {
  batchRetriesMax,
  jobHeartbeatSeconds,
  jobSecondsMax,
  jobWaitSecondsMax,
  retriesMax,
  retryDelaySeconds,
  retryDelaySecondsMax,
  storeSecondsMax,
} from "../constants.ts";

/** Jobs by queue, in the order of the work. Doing one twice changes nothing. `eventId` is the event behind it. */
export type Jobs = {
  "fetch-contribution": { eventId: string; contributionId: string };
  "classify-chunks": { contributionId: string };
  "fetch-training": { eventId: string; modelId: Hex };
  "build-store": { eventId: string; modelId: Hex };
  "fetch-batch": { eventId: string; batchId: string };
  "score-receipt": { eventId: string; receiptDigest: Hex; index: number };
  "find-spans": { receiptDigest: Hex };
};
export type QueueName = keyof Jobs;

export const queueNames = [
  "fetch-contribution",
  "classify-chunks",
  "fetch-training",
  "build-store",
  "fetch-batch",
  "score-receipt",
  "find-spans",
] as const satisfies QueueName[];

const retryLimits: Record<QueueName, number> = {
  "fetch-contribution": retriesMax,
  "classify-chunks": retriesMax,
  "fetch-training": batchRetriesMax,
  "build-store": retriesMax,
  "fetch-batch": batchRetriesMax,
  "score-receipt": retriesMax,
  "find-spans": retriesMax,
};

const optionsOf = (name: QueueName): QueueOptions => ({
  retryLimit: retryLimits[name],
  retryDelay: retryDelaySeconds,
  retryBackoff: true,
  retryDelayMax: retryDelaySecondsMax,
  expireInSeconds: name === "build-store" ? storeSecondsMax : jobSecondsMax,
  heartbeatSeconds: jobHeartbeatSeconds,
  retentionSeconds: jobWaitSecondsMax,
});

/** Make the queues that are missing, and give those that exist our options. */
export async function createQueues(boss: PgBoss): Promise<void> {
  for (const name of queueNames) {
    await boss.createQueue(name, optionsOf(name));
    await boss.updateQueue(name, optionsOf(name));
  }
}

/** Enqueue in `tx`: the job exists if and only if the transaction commits. */
export async function enqueue<Q extends QueueName>(
  boss: PgBoss,
  tx: Transaction,
  name: Q,
  jobs: readonly Jobs[Q][],
): Promise<void> {
  if (jobs.length === 0) return;
  const db = fromDrizzle(tx, sql);
  await boss.insert(
    name,
    jobs.map((data) => ({ data })),
    { db },
  );
}
