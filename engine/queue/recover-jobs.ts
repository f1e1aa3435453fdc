import { sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import postgres from "postgres";
import { type Database, type Drizzle, ignoreNotice } from "#schema/database";
import { queueNames } from "./queues.ts";

/** Any number that nothing else in this database locks; every engine holds it while it lives. */
const aliveLock = 5_170_002;

/**
 * Mark this engine as alive, and take back what a dead one left. The mark is a shared advisory lock on a connection of
 * its own; if no other engine holds it, jobs in state `active` belong to nobody and are given back at once instead of
 * after their expiry. Jobs that failed for good in an earlier life are tried again. Dispose to take the mark away.
 * Should the connection break, the mark is gone and another engine may do our jobs too, which changes nothing.
 */
export async function recoverJobs(
  { databaseUrl }: { databaseUrl: string },
  { db }: Database,
  boss: PgBoss,
): Promise<AsyncDisposable & { recovered: number }> {
  const mark = postgres(databaseUrl, {
    fetch_types: false,
    max: 1,
    max_lifetime: null,
    onnotice: ignoreNotice,
    connection: { application_name: "engine mark" },
  });
  const [row] = await mark<{ alone: boolean }[]>`select pg_try_advisory_lock(${aliveLock}) as alone`;
  await mark`select pg_advisory_lock_shared(${aliveLock})`;
  let recovered = 0;
  for (const name of queueNames) {
    if (row?.alone) recovered += await release(db, boss, name);
    recovered += await retryFailed(db, boss, name);
  }
  if (row?.alone) await mark`select pg_advisory_unlock(${aliveLock})`;
  return { recovered, [Symbol.asyncDispose]: () => mark.end({ timeout: 1 }) };
}

async function release(db: Drizzle, boss: PgBoss, name: string): Promise<number> {
  const ids = await listJobs(db, name, "active");
  if (ids.length > 0) await boss.fail(name, ids, { reason: "the engine that ran it ended" });
  return ids.length;
}

async function retryFailed(db: Drizzle, boss: PgBoss, name: string): Promise<number> {
  const ids = await listJobs(db, name, "failed");
  if (ids.length > 0) await boss.retry(name, ids);
  return ids.length;
}

async function listJobs(db: Drizzle, name: string, state: "active" | "failed"): Promise<string[]> {
  const rows = await db.execute<{ id: string }>(
    sql`select id from pgboss.job where name = ${name} and state = ${state}`,
  );
  return rows.map(({ id }) => id);
}
