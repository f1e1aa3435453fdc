import { setTimeout as sleep } from "node:timers/promises";
import { and, eq, lte } from "drizzle-orm";
import { bytesToHex, type Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import type { Log } from "#schema/log";
import type { ReceiptScope } from "#settlement/blob/receipt";
import { settlerPollMs, settlerRetryMs } from "../constants.ts";
import type { FinalBlockReader } from "../final-block.ts";
import type { Metrics } from "../metrics.ts";
import { nextBatchSize } from "./batch.ts";
import {
  advance,
  type BatchRun,
  type BatchState,
  countPending,
  dissolve,
  insertBatch,
  listOpen,
} from "./batch-run.ts";
import { type HubClient, SubmissionRefusedError } from "./hub-client.ts";

export type SettlerParts = {
  db: Drizzle;
  scope: ReceiptScope;
  hub: HubClient;
  disperse: (payload: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  finalBlock: FinalBlockReader;
  receiptsMax: number;
  /** 0: a batch waits until it is full. */
  ageMsMax: number;
  /** How long a batch may wait for a channel to be filled up again that was emptied before it was settled. */
  emptiedMsMax: number;
  metrics: Metrics;
  log: Log;
};

/**
 * Settle answers until `signal` aborts. A failure of database, disperser or chain is logged, counted and tried again
 * after a pause: the rows say where to go on, and nothing but time is lost.
 */
export async function runSettler(parts: SettlerParts, signal: AbortSignal): Promise<void> {
  const step = createStep(parts);
  while (!signal.aborted) {
    let pauseMs = settlerPollMs;
    try {
      await step(signal);
    } catch (error) {
      if (signal.aborted) return;
      parts.log.error("settling failed, will try again", error);
      parts.metrics.settlerFailures.inc({ code: codeOf(error) });
      pauseMs = settlerRetryMs;
    }
    await sleep(pauseMs, undefined, { signal }).catch(ignoreAbort);
  }
}

/** One look: build what is due, then take every open batch, in order, as far as it goes. */
export function createStep(parts: SettlerParts): (signal: AbortSignal) => Promise<void> {
  let pendingSinceMs: number | null = null;
  return async (signal) => {
    const pending = await countPending(parts.db);
    pendingSinceMs = pending === 0 ? null : (pendingSinceMs ?? performance.now());
    const isOverdue =
      parts.ageMsMax > 0 && pendingSinceMs !== null && performance.now() - pendingSinceMs >= parts.ageMsMax;
    const size = nextBatchSize(pending, { receiptsMax: parts.receiptsMax, isOverdue });
    if (size > 0) {
      const receiptsRoot = await insertBatch(parts.db, parts.scope, size);
      pendingSinceMs = null;
      note(parts, receiptsRoot, "built", { receipts: size });
    }
    for (const run of await listOpen(parts.db)) {
      // Claims are cumulative: a batch can only be mined after the one before it.
      if (!(await take(parts, run, signal))) return;
    }
  };
}

/** Take one batch as far as it goes; true once it is on chain, so that the next may follow. */
async function take(parts: SettlerParts, run: BatchRun, signal: AbortSignal): Promise<boolean> {
  if (run.state === "submitted") return confirm(parts, run);
  const dispersed = run.state === "built" ? await disperse(parts, run, signal) : run;
  return submit(parts, dispersed);
}

async function disperse(parts: SettlerParts, run: BatchRun, signal: AbortSignal): Promise<BatchRun> {
  const daCommitment = bytesToHex(await parts.disperse(run.payload, signal));
  await advance(parts.db, run, "built", "dispersed", { daCommitment });
  note(parts, run.receiptsRoot, "dispersed");
  return { ...run, state: "dispersed", daCommitment };
}

/** Submit unless the chain has the root already, from before a crash. */
async function submit(parts: SettlerParts, run: BatchRun): Promise<boolean> {
  const batchId = await parts.hub.batchIdOf(run.receiptsRoot);
  let txHash: Hex | undefined;
  try {
    txHash = batchId === 0n ? await parts.hub.submit(run) : undefined;
  } catch (error) {
    if (error instanceof SubmissionRefusedError && (await giveUp(parts, run))) return false;
    throw error;
  }
  await advance(parts.db, run, "dispersed", "submitted", txHash === undefined ? {} : { txHash });
  note(parts, run.receiptsRoot, "submitted", { txHash });
  return true;
}

/** Take the batch apart where a payer has left with what it claims, for good; true if so. */
async function giveUp(parts: SettlerParts, run: BatchRun): Promise<boolean> {
  if (Date.now() - run.updatedAt.getTime() < parts.emptiedMsMax) return false;
  const channels = await parts.hub.emptied(run);
  if (channels.length === 0) return false;
  const answersLost = await dissolve(parts.db, run, channels);
  parts.metrics.answersUnpaid.inc(answersLost);
  parts.log.info("batch taken apart: payers left before it was settled", {
    receiptsRoot: run.receiptsRoot,
    channels,
    answersLost,
  });
  return true;
}

/** Settled once the event is final; back to dispersed if the chain lost it. True while the chain has it. */
async function confirm(parts: SettlerParts, run: BatchRun): Promise<boolean> {
  if (await isFinal(parts, run.receiptsRoot)) {
    await advance(parts.db, run, "submitted", "settled");
    note(parts, run.receiptsRoot, "settled");
    return true;
  }
  if ((await parts.hub.batchIdOf(run.receiptsRoot)) !== 0n) return true;
  await advance(parts.db, run, "submitted", "dispersed");
  parts.log.info("batch was reorganised away, will submit it again", { receiptsRoot: run.receiptsRoot });
  return submit(parts, { ...run, state: "dispersed" });
}

async function isFinal({ db, finalBlock, hub }: SettlerParts, receiptsRoot: Hex): Promise<boolean> {
  const { batch } = onchain;
  const block = await finalBlock();
  if (block === 0n) return false;
  const rows = await db
    .select({ id: batch.id })
    .from(batch)
    .where(
      and(eq(batch.node, hub.node), eq(batch.receiptsRoot, receiptsRoot), lte(batch.blockNumber, block)),
    );
  return rows.length > 0;
}

function note(
  parts: SettlerParts,
  receiptsRoot: Hex,
  state: BatchState,
  fields: Record<string, unknown> = {},
): void {
  parts.metrics.batches.inc({ state });
  parts.log.info(`batch ${state}`, { receiptsRoot, ...fields });
}

function codeOf(error: unknown): string {
  return error instanceof PipelineError ? error.code : ((error as { name?: string }).name ?? "unknown");
}

function ignoreAbort(error: unknown): void {
  if ((error as { name?: string }).name !== "AbortError") throw error;
}
