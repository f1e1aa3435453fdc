import postgres from "postgres";
import { PipelineError } from "#schema/errors";

/** First of two keys; the second is the hash of the schema's name. */
const lockSpace = 746_127;

/** Held until the process ends, by whatever means: PostgreSQL frees it with the connection. */
export type IndexerLock = { release(): Promise<void> };

/**
 * Makes this process the only indexer of `databaseSchema`, and clears the lock a killed one has left in Ponder's own
 * table, for which Ponder would wait 25 s. Whoever holds ours knows that the other has no living owner.
 *
 * @param onLost Called if the connection ends before `release`: another indexer may start from then on.
 * @throws IndexerRunningError if another process holds the lock.
 */
export async function lockIndexer(
  databaseUrl: string,
  databaseSchema: string,
  onLost: () => void,
): Promise<IndexerLock> {
  let isReleased = false;
  const sql = postgres(databaseUrl, {
    fetch_types: false,
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    connection: { application_name: "indexer-lock" },
    onclose: () => {
      if (!isReleased) onLost();
    },
  });
  const [row] = await sql<{ isLocked: boolean }[]>`
    select pg_try_advisory_lock(${lockSpace}, hashtext(${databaseSchema})) as "isLocked"`;
  if (!row?.isLocked) {
    isReleased = true;
    await sql.end();
    throw new IndexerRunningError(databaseSchema);
  }
  await clearStaleLock(sql, databaseSchema);
  return {
    async release() {
      isReleased = true;
      await sql.end();
    },
  };
}

async function clearStaleLock(sql: postgres.Sql, databaseSchema: string): Promise<void> {
  const [row] = await sql`select to_regclass(${`"${databaseSchema}"._ponder_meta`}) as meta`;
  if (row?.meta === null) return;
  const meta = sql(`${databaseSchema}._ponder_meta`);
  const cleared = await sql`
    update ${meta} set value = jsonb_set(value, '{is_locked}', '0') where value ->> 'is_locked' = '1' returning key`;
  if (cleared.length > 0)
    console.warn(`indexer: cleared the lock that a killed indexer left in ${databaseSchema}`);
}

export class IndexerRunningError extends PipelineError {
  override readonly name = "IndexerRunningError";
  constructor(databaseSchema: string) {
    super(`Another indexer writes ${databaseSchema}. Stop it, or set DATABASE_SCHEMA to another name.`, {
      code: "indexer_running",
      retryable: true,
    });
  }
}
