import { and, asc, eq, gt, inArray, lte, sql } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import * as engine from "#schema/offchain/40-engine";
import { type BatchFacts, type CandidateFacts, type ReceiptFacts, unscored } from "../allocation/facts.ts";

const { batch, modelUsage } = onchain;

export type BatchRow = typeof batch.$inferSelect;
type Reader = Drizzle | Transaction;

/** Batches in (fromBlock, toBlock], in log order. */
export function batchesIn(db: Reader, fromBlock: bigint, toBlock: bigint): Promise<BatchRow[]> {
  return db
    .select()
    .from(batch)
    .where(and(gt(batch.blockNumber, fromBlock), lte(batch.blockNumber, toBlock)))
    .orderBy(asc(batch.blockNumber), asc(batch.logIndex));
}

/** The batches with receipts and scores under one method; or what is still missing, for the log. */
export async function loadBatchFacts(
  db: Reader,
  rows: readonly BatchRow[],
  method: Hex | null,
): Promise<
  { ready: true; methodHash: Hex | null; batches: BatchFacts[] } | { ready: false; missing: string }
> {
  const ids = rows.map(({ id }) => id);
  const refused = await refusedBatches(db, rows);
  const receipts = await receiptsOf(db, ids);
  // Also a batch that says it has no calls is undecided until it is refused: `undefined` is not 0.
  const unfetched = rows.find(
    ({ id, eventId, calls }) => !refused.has(eventId) && receipts.get(id)?.length !== calls,
  );
  if (unfetched !== undefined) return { ready: false, missing: `receipts of batch ${unfetched.id}` };
  const kept = rows.filter(({ eventId }) => !refused.has(eventId)).map(({ id }) => id);
  const unscorable = await refusedReceipts(db, kept);
  const scorable = kept.flatMap((id) => receipts.get(id)!).filter(({ digest }) => !unscorable.has(digest));
  const methodHash = method ?? (await completeMethod(db, kept, scorable));
  const scored = await scoresOf(db, kept, methodHash);
  const open = scorable.find(({ digest }) => !scored.has(digest));
  if (open !== undefined) return { ready: false, missing: `score of receipt ${open.digest}` };
  const usage = await usageOf(db, ids);
  const batches = rows.map((row) => ({
    batchId: row.id,
    poolWei: row.poolShare,
    usage: usage.get(row.id) ?? [],
    receipts: refused.has(row.eventId)
      ? []
      : receipts.get(row.id)!.map(({ digest, modelId, feeWei }) => ({
          receiptDigest: digest,
          modelId,
          feeWei,
          ...(unscorable.has(digest) ? unscored : scored.get(digest)!),
        })),
  }));
  return { ready: true, methodHash, batches };
}

/** Event ids of batches the engine refused: their pools are carried. */
async function refusedBatches(db: Reader, rows: readonly BatchRow[]): Promise<Set<string>> {
  const eventIds = rows.map(({ eventId }) => eventId);
  const refusals = await db
    .select({ eventId: engine.refusal.eventId })
    .from(engine.refusal)
    .where(inArray(engine.refusal.eventId, eventIds));
  return new Set(refusals.map(({ eventId }) => eventId));
}

type ReceiptRow = { digest: Hex; batchId: bigint; modelId: Hex; feeWei: bigint };

async function receiptsOf(db: Reader, batchIds: bigint[]): Promise<Map<bigint, ReceiptRow[]>> {
  const { digest, batchId, modelId, feeWei, index } = engine.receipt;
  const rows = await db
    .select({ digest, batchId, modelId, feeWei })
    .from(engine.receipt)
    .where(inArray(batchId, batchIds))
    .orderBy(asc(batchId), asc(index));
  return Map.groupBy(rows, (row) => row.batchId);
}

/** Digests of receipts the engine could not score: its refusals name them as `receipt:<digest>`. */
async function refusedReceipts(db: Reader, batchIds: bigint[]): Promise<Set<Hex>> {
  const { receipt, refusal } = engine;
  const rows = await db
    .select({ digest: receipt.digest })
    .from(receipt)
    .innerJoin(refusal, eq(refusal.subject, sql`'receipt:' || ${receipt.digest}`))
    .where(inArray(receipt.batchId, batchIds));
  return new Set(rows.map(({ digest }) => digest));
}

/** The method all these receipts are scored under; the lowest hash if there are several. Null where there is none. */
async function completeMethod(
  db: Reader,
  batchIds: bigint[],
  scorable: readonly ReceiptRow[],
): Promise<Hex | null> {
  const { score, receipt } = engine;
  const rows = await db
    .select({ digest: receipt.digest, methodHash: score.methodHash })
    .from(score)
    .innerJoin(receipt, eq(receipt.digest, score.receiptDigest))
    .where(inArray(receipt.batchId, batchIds));
  const scoredUnder = Map.groupBy(rows, (row) => row.methodHash);
  const complete = [...scoredUnder].filter(([, scored]) => {
    const digests = new Set(scored.map(({ digest }) => digest));
    return scorable.every(({ digest }) => digests.has(digest));
  });
  return complete.map(([hash]) => hash).sort()[0] ?? null;
}

type Scored = Pick<ReceiptFacts, "valueFullWad" | "valueEmptyWad" | "dataShareWad" | "candidates">;

async function scoresOf(db: Reader, batchIds: bigint[], methodHash: Hex | null): Promise<Map<Hex, Scored>> {
  if (methodHash === null) return new Map();
  const { score, receipt } = engine;
  const rows = await db
    .select({
      digest: score.receiptDigest,
      valueFullWad: score.valueFullWad,
      valueEmptyWad: score.valueEmptyWad,
      dataShareWad: score.dataShareWad,
    })
    .from(score)
    .innerJoin(receipt, eq(receipt.digest, score.receiptDigest))
    .where(and(inArray(receipt.batchId, batchIds), eq(score.methodHash, methodHash)));
  const candidates = await candidatesOf(db, batchIds, methodHash);
  return new Map(
    rows.map(({ digest, ...values }) => [digest, { ...values, candidates: candidates.get(digest) ?? [] }]),
  );
}

async function candidatesOf(
  db: Reader,
  batchIds: bigint[],
  methodHash: Hex,
): Promise<Map<Hex, CandidateFacts[]>> {
  const { candidate, influence, receipt } = engine;
  const rows = await db
    .select({
      digest: candidate.receiptDigest,
      chunkId: candidate.chunkId,
      inContext: candidate.inContext,
      scoreWad: influence.scoreWad,
    })
    .from(candidate)
    .innerJoin(receipt, eq(receipt.digest, candidate.receiptDigest))
    .leftJoin(
      influence,
      and(
        eq(influence.receiptDigest, candidate.receiptDigest),
        eq(influence.chunkId, candidate.chunkId),
        eq(influence.methodHash, methodHash),
      ),
    )
    .where(inArray(receipt.batchId, batchIds))
    .orderBy(asc(candidate.receiptDigest), asc(candidate.rank));
  const grouped = Map.groupBy(rows, (row) => row.digest);
  return new Map(
    [...grouped].map(([digest, list]) => [
      digest,
      list.map(({ chunkId, inContext, scoreWad }) => ({
        chunkId,
        inContext,
        scoreWad: inContext ? (scoreWad ?? 0n) : 0n,
      })),
    ]),
  );
}

async function usageOf(db: Reader, batchIds: bigint[]) {
  const rows = await db
    .select({ batchId: modelUsage.batchId, modelId: modelUsage.modelId, amountWei: modelUsage.amount })
    .from(modelUsage)
    .where(inArray(modelUsage.batchId, batchIds));
  return Map.groupBy(rows, (row) => row.batchId);
}
