import type { ExtractTablesWithRelations } from "drizzle-orm";
import type { PgTransaction } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsDatabase, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres, { type Sql } from "postgres";
import "./bind.ts";

type NoSchema = Record<string, never>;
export type Drizzle = PostgresJsDatabase<NoSchema>;
/** What `db.transaction` hands out; `fromDrizzle(tx, sql)` of pg-boss enqueues in it. */
export type Transaction = PgTransaction<
  PostgresJsQueryResultHKT,
  NoSchema,
  ExtractTablesWithRelations<NoSchema>
>;
/** Owner of the connections of one process. */
export type Database = { sql: Sql; db: Drizzle; [Symbol.asyncDispose](): Promise<void> };

/** A statement that runs longer is a bug; also the longest that Ponder waits for us when it handles a reorg. */
export const statementMsMax = 30_000;
/** A transaction that idles longer is ended by the server: no network or model call belongs into one. */
export const transactionIdleMsMax = 10_000;
export const lockWaitMsMax = 10_000;
/** Connections of one process where it says nothing else. PostgreSQL allows 100 to all of them together. */
const connectionsDefault = 5;
const closeSecondsMax = 5;

type Options = {
  url: string;
  /** Shown in pg_stat_activity: the name of the process. */
  applicationName: string;
  connections?: number;
};

/**
 * Opens the connections lazily: an unreachable server shows at the first query. Onchain tables are bound to the
 * views, `numeric` comes as text unless read through a drizzle column.
 *
 *     await using database = openDatabase({ url: config.databaseUrl, applicationName: "engine" });
 */
export function openDatabase({ url, applicationName, connections = connectionsDefault }: Options): Database {
  const sql = postgres(url, {
    max: connections,
    // A query of its own whose failure nobody could catch. Price: arrays are not parsed; read them as JSON.
    fetch_types: false,
    onnotice: ignoreNotice,
    connection: {
      application_name: applicationName,
      statement_timeout: statementMsMax,
      lock_timeout: lockWaitMsMax,
      idle_in_transaction_session_timeout: transactionIdleMsMax,
    },
  });
  return {
    sql,
    db: drizzle(sql),
    [Symbol.asyncDispose]: () => sql.end({ timeout: closeSecondsMax }),
  };
}

/** Notices ("relation already exists, skipping") would go to the terminal. */
export function ignoreNotice(): undefined {
  return undefined;
}
