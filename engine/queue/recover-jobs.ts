import { sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import type { Database } from "#schema/database";
import { queueNames } from "./queues.ts";

/** Any number that nothing else in this database locks; every engine holds it while it lives. */
const aliveLock = 5_170_002;

/**
 * Mark this engine as alive, and take back what a dead one left. The mark is a shared advisory lock on a connection of its own; if
 * no other engine holds it, jobs in state `active` belong to nobody and are given back at once instead of after their
 * expiry. Jobs that failed for good in an earlier life are tried again. Dispose to take the mark away.
 */
export async function recoverJobs(
  database: Database,
  boss: PgBoss,
): Promise<AsyncDisposable & { recovered: number }> {
  const connection = await database.sql.reserve();
  const [row] = await connection<{ alone: boolean }[]>`select pg_try_advisory_lock(${aliveLock}) as alone`;
  await connection`select pg_advisory_lock_shared(${aliveLock})`;
  let recovered = 0;
  for (const name of queueNames) {
    if (row?.alone) recovered += await release(database, boss, name);
    recovered += await retryFailed(database, boss, name);
  }
  if (row?.alone) await connection`select pg_advisory_unlock(${aliveLock})`;
  return {
    recovered,
    [Symbol.asyncDispose]: async () => {
      await connection`select pg_advisory_unlock_shared(${aliveLock})`;
      connection.release();
    },
  };
}

async function release(database: Database, boss: PgBoss, name: string): Promise<number> {
  const ids = await listJobs(database, name, "active");
  if (ids.length > 0) await boss.fail(name, ids, { reason: "the engine that ran it ended" });
  return ids.length;
}

async function retryFailed(database: Database, boss: PgBoss, name: string): Promise<number> {
  const ids = await listJobs(database, name, "failed");
  if (ids.length > 0) await boss.retry(name, ids);
  return ids.length;
}

async function listJobs({ db }: Database, name: string, state: "active" | "failed"): Promise<string[]> {
  const rows = await db.execute<{ id: string }>(
    sql`select id from pgboss.job where name = ${name} and state = ${state}`,
  );
  return rows.map(({ id }) => id);
}
