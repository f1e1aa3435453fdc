import { setTimeout as sleep } from "node:timers/promises";
import { and, asc, eq, gt, lte } from "drizzle-orm";
import { BaseError as ChainError, type PublicClient } from "viem";
import { onchain, viewsSchema } from "./bind.ts";
import type { Database, Transaction } from "./database.ts";
import { PipelineError } from "./errors.ts";
import type { EventRow } from "./events.ts";
import { DeepReorgError, type FinalBlock, finalBlock } from "./finality.ts";
import { cursor } from "./offchain/40-engine.ts";

/** Most events in one transaction: bounds what a crash repeats and how long Ponder may wait for us in a reorg. */
export const batchEventsMax = 200;
/** Wake-up where no notification comes: finality moves with the chain, also when no event does. */
const pollMsDefault = 1_000;
/** Failures of database or chain in a row before the process gives up and is started anew; about two minutes. */
const failuresMax = 30;
const failureDelayMsMax = 5_000;

export type ConsumeOptions = {
  database: Database;
  client: Pick<PublicClient, "getBlock" | "getChainId">;
  /** Name of the cursor; one per consumer. */
  name: string;
  /**
   * Does what the event asks for, in `tx` alone: rows, cursor and jobs (pg-boss: `fromDrizzle(tx, sql)`) commit
   * together or not at all. No network or model call in here: enqueue a job. Data that is bad is recorded, not thrown:
   * an event that throws stops the consumer, for it may not be skipped.
   */
  apply(tx: Transaction, event: EventRow): Promise<void>;
  signal: AbortSignal;
  pollMs?: number;
  /** Told after each commit and after each failure that is tried again. */
  onProgress?(progress: { events: number; final: FinalBlock }): void;
  onFailure?(error: unknown, attempt: number): void;
};

/**
 * Follows the log of final events, in order, each exactly once, until `signal` aborts; then returns after the
 * transaction in hand. Woken by Ponder's notification and by the clock. Two processes with one name take turns.
 *
 * @throws DeepReorgError, CursorLostError, and what `apply` throws. Failures of database and chain are tried again.
 */
export async function consumeEvents(options: ConsumeOptions): Promise<void> {
  const { signal, pollMs = pollMsDefault } = options;
  const bell = newBell();
  const unlisten = listen(options, bell.ring);
  let failures = 0;
  try {
    while (!signal.aborted) {
      try {
        await consumeFinal(options);
        failures = 0;
        await bell.wait(pollMs, signal);
      } catch (error) {
        failures += 1;
        if (!isTransient(error) || failures > failuresMax) throw error;
        options.onFailure?.(error, failures);
        await pause(Math.min(pollMs * failures, failureDelayMsMax), signal);
      }
    }
  } finally {
    await unlisten();
  }
}

/** Consumes what is final now. @returns The number of events. Used by rebuilds and tests; `consumeEvents` repeats it. */
export async function consumeFinal(
  options: Pick<ConsumeOptions, "database" | "client" | "name" | "apply" | "signal" | "onProgress">,
): Promise<number> {
  const { database, client, signal } = options;
  const final = await finalBlock({ db: database.db, client });
  if (final === undefined) return 0;
  const chainId = BigInt(await client.getChainId());
  for (let total = 0; ; ) {
    const events = signal.aborted ? 0 : await consumeBatch(options, chainId, final);
    total += events;
    if (events > 0) options.onProgress?.({ events, final });
    if (events < batchEventsMax) return total;
  }
}

/** One transaction: lock the cursor, read, apply, move the cursor. */
async function consumeBatch(
  { database, name, apply }: Pick<ConsumeOptions, "database" | "name" | "apply">,
  chainId: bigint,
  final: FinalBlock,
): Promise<number> {
  return await database.db.transaction(async (tx) => {
    const { lastEventId, lastBlockHash } = await lockCursor(tx, name, chainId);
    await assertCursorKnown(tx, { name, lastEventId, lastBlockHash }, final);
    const { event } = onchain;
    const events = await tx
      .select()
      .from(event)
      .where(and(gt(event.id, lastEventId), lte(event.blockNumber, final.blockNumber)))
      .orderBy(asc(event.id))
      .limit(batchEventsMax);
    for (const row of events) await apply(tx, row);
    const last = events.at(-1);
    if (last) {
      const moved = { lastEventId: last.id, lastBlockHash: last.blockHash };
      await tx.update(cursor).set(moved).where(eq(cursor.name, name));
    }
    return events.length;
  });
}

/** Sorts before every event id. */
const start = "";

type Cursor = typeof cursor.$inferSelect;

async function lockCursor(tx: Transaction, name: string, chainId: bigint): Promise<Cursor> {
  await tx
    .insert(cursor)
    .values({ name, chainId, lastEventId: start, lastBlockHash: "0x" })
    .onConflictDoNothing();
  const [row] = await tx.select().from(cursor).where(eq(cursor.name, name)).for("update");
  if (row?.chainId !== chainId) throw new CursorLostError(name, `it stands on chain ${row?.chainId}`);
  return row;
}

/** What was consumed must still be in the log, else rows were made from a chain that is gone. */
async function assertCursorKnown(
  tx: Transaction,
  { name, lastEventId, lastBlockHash }: Omit<Cursor, "chainId">,
  final: FinalBlock,
): Promise<void> {
  if (lastEventId === start || blockOf(lastEventId) > final.indexedBlock) return;
  const { event } = onchain;
  const [row] = await tx.select({ hash: event.blockHash }).from(event).where(eq(event.id, lastEventId));
  // The hash too: an id is time, block and position, which another branch can repeat.
  if (row?.hash === lastBlockHash) return;
  throw new CursorLostError(name, `event ${lastEventId} of block ${lastBlockHash} is not in the log`);
}

/** An event id is 10 digits of time, 16 of chain, 16 of block, and more. */
function blockOf(eventId: string): bigint {
  return BigInt(eventId.slice(26, 42));
}

/**
 * Rings at every notification and at every new connection. A LISTEN that fails leaves the poll: the loop meets the same
 * database and reports it. @returns How to end it.
 */
function listen({ database, onFailure }: ConsumeOptions, ring: () => void): () => Promise<void> {
  let end: (() => Promise<void>) | undefined;
  const report = (error: unknown) => onFailure?.(error, 0);
  database.sql
    .listen(`${viewsSchema}_live_query`, ring, ring)
    .then(({ unlisten }) => {
      end = unlisten;
    })
    .catch(report);
  return async () => await end?.().catch(report);
}

/** Wakes one waiter; a ring while nobody waits is kept. */
function newBell() {
  let isRung = false;
  let wake: (() => void) | undefined;
  return {
    ring(this: void) {
      isRung = true;
      wake?.();
    },
    async wait(limitMs: number, signal: AbortSignal) {
      const woken = new AbortController();
      wake = () => woken.abort();
      if (!isRung) await pause(limitMs, AbortSignal.any([signal, woken.signal]));
      wake = undefined;
      isRung = false;
    },
  };
}

/** Sleeps until the time is over or `signal` aborts; neither is an error. */
async function pause(limitMs: number, signal: AbortSignal): Promise<void> {
  await sleep(limitMs, undefined, { signal }).catch((error) => {
    if (!signal.aborted) throw error;
  });
}

/**
 * Connection lost or refused, server starting or stopping, deadlock, lock and statement timeouts (PostgreSQL, A). The
 * last four: the views go away for a moment while Ponder points them at a new deployment, under a query as well.
 */
const transientCodes =
  /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ETIMEDOUT|08|57P|57014|40001|40P01|55P03|25P03|42P01|3F000|0A000|XX000)/;

function isTransient(error: unknown): boolean {
  if (error instanceof DeepReorgError || error instanceof CursorLostError) return false;
  if (error instanceof PipelineError) return error.retryable;
  if (error instanceof ChainError) return true;
  return transientCodes.test((error as { code?: string } | undefined)?.code ?? "");
}

/** The cursor points into another log than this one. The remedy is `tributary rebuild`. */
export class CursorLostError extends PipelineError {
  override readonly name = "CursorLostError";
  constructor(name: string, reason: string) {
    super(`cursor ${name} does not fit the log: ${reason}. Rebuild from the chain (tributary rebuild).`, {
      code: "cursor_lost",
      retryable: false,
    });
  }
}
