import { sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import postgres, { type Sql } from "postgres";
import type { Hex } from "viem";
import { type Database, type Drizzle, ignoreNotice } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { queueNames } from "./queues.ts";

/** Any numbers that nothing else in this database locks; every engine holds the first while it lives. */
const aliveLock = 5_170_002;
/** With part of the method's hash as the second key: says under which method an engine lives. */
const methodLock = 5_170_003;
/** Held while an engine looks who else lives. */
const lookLock = 5_170_004;

/**
 * Mark this engine as alive, and take back what a dead one left. The mark is a shared advisory lock on a connection of
 * its own; if no other engine holds it, jobs in state `active` belong to nobody and are given back at once instead of
 * after their expiry. Jobs that failed for good in an earlier life are tried again. Dispose to take the mark away.
 * Should the connection break, the mark is gone and another engine may do our jobs too, which changes nothing.
 * @throws OtherMethodError while an engine with another method lives: each would leave the other's receipts unscored.
 */
export async function recoverJobs(
  { databaseUrl }: { databaseUrl: string },
  methodHash: Hex,
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
  await markMethod(mark, methodHash).catch(async (error) => {
    await mark.end({ timeout: 1 });
    throw error;
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

async function markMethod(mark: Sql, methodHash: Hex): Promise<void> {
  const key = Number.parseInt(methodHash.slice(2, 9), 16);
  await mark`select pg_advisory_lock(${lookLock})`;
  const others = await mark`
    select from pg_locks
    where locktype = 'advisory' and classid = ${methodLock} and objid <> ${key} and objsubid = 2
      and database = (select oid from pg_database where datname = current_database())`;
  if (others.length > 0) throw new OtherMethodError(methodHash);
  await mark`select pg_advisory_lock_shared(${methodLock}::int, ${key}::int)`;
  await mark`select pg_advisory_unlock(${lookLock})`;
}

export class OtherMethodError extends PipelineError {
  override readonly name = "OtherMethodError";
  constructor(methodHash: Hex) {
    super(
      `an engine with another method than ours (${methodHash}) is at work on this database: other code, settings, model or kind of processor. Stop it, or give this one a database of its own.`,
      { code: "other_method", retryable: true },
    );
  }
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
