import { and, asc, eq, gt, inArray, lte, sql } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import * as engine from "#schema/offchain/40-engine";
import { type Adopted, nothingAdopted } from "../adoption.ts";
import { type BatchFacts, type CandidateFacts, type ReceiptFacts, unscored } from "../allocation/facts.ts";
import type { LeftOut } from "../blob/provenance.ts";

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

/**
 * The batches with receipts and scores under one method; or what is still missing, for the log. What `adopted` leaves out
 * has no receipts or no score, whatever the engine found.
 */
export async function loadBatchFacts(
  db: Reader,
  rows: readonly BatchRow[],
  method: Hex | null,
  adopted: Adopted = nothingAdopted,
): Promise<
  | { ready: true; methodHash: Hex | null; batches: BatchFacts[]; leftOut: LeftOut[] }
  | { ready: false; missing: string }
> {
  const ids = rows.map(({ id }) => id);
  const refused = await refusedBatches(db, rows, adopted.leftOut);
  const receipts = await receiptsOf(db, ids);
  // Also a batch that says it has no calls is undecided until it is refused: `undefined` is not 0.
  const unfetched = rows.find(
    ({ id, eventId, calls }) => !refused.has(eventId) && receipts.get(id)?.length !== calls,
  );
  if (unfetched !== undefined) return { ready: false, missing: `receipts of batch ${unfetched.id}` };
  const kept = rows.filter(({ eventId }) => !refused.has(eventId)).map(({ id }) => id);
  const unscorable = new Set([...(await refusedReceipts(db, kept)), ...adopted.unscored]);
  const scorable = kept.flatMap((id) => receipts.get(id)!).filter(({ digest }) => !unscorable.has(digest));
  const methodHash = method ?? (await completeMethod(db, kept, scorable));
  const scored = await scoresOf(db, kept, methodHash);
  const open = scorable.find(({ digest }) => !scored.has(digest));
  if (open !== undefined) return { ready: false, missing: `score of receipt ${open.digest}` };
  const usage = await usageOf(db, ids);
  const batches = rows.map((row) => ({
    batchId: row.id,
    poolWei: row.poolShare,
    treasuryWei: row.treasuryShare,
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
  const leftOut = rows
    .flatMap(({ id, eventId }) =>
      refused.has(eventId) ? [{ batchId: id, code: refused.get(eventId)! }] : [],
    )
    .sort((a, b) => (a.batchId < b.batchId ? -1 : 1));
  return { ready: true, methodHash, batches, leftOut };
}

/** Codes of the batches the engine refused, by event id: their pools are carried. */
async function refusedBatches(
  db: Reader,
  rows: readonly BatchRow[],
  adopted: readonly LeftOut[],
): Promise<Map<string, string>> {
  const eventIds = rows.map(({ eventId }) => eventId);
  const refusals = await db
    .select({ eventId: engine.refusal.eventId, code: engine.refusal.code })
    .from(engine.refusal)
    .where(inArray(engine.refusal.eventId, eventIds));
  const codes = new Map(refusals.map(({ eventId, code }) => [eventId, code]));
  for (const { batchId, code } of adopted) {
    const row = rows.find(({ id }) => id === batchId);
    if (row !== undefined) codes.set(row.eventId, code);
  }
  return codes;
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

/** Preimage of a method's hash, from any score under it; empty where there is none. */
export async function methodText(db: Reader, methodHash: Hex): Promise<string> {
  const [row] = await db
    .select({ method: engine.score.method })
    .from(engine.score)
    .where(eq(engine.score.methodHash, methodHash))
    .limit(1);
  return row?.method ?? "";
}

type Scored = Omit<ReceiptFacts, "receiptDigest" | "modelId" | "feeWei">;

async function scoresOf(db: Reader, batchIds: bigint[], methodHash: Hex | null): Promise<Map<Hex, Scored>> {
  if (methodHash === null) return new Map();
  const { score, receipt } = engine;
  const { valueBaseWad, valueContextWad, valueAdapterWad, valueBothWad, dataShareWad, unexplainedWad } =
    score;
  const values = {
    valueBaseWad,
    valueContextWad,
    valueAdapterWad,
    valueBothWad,
    dataShareWad,
    unexplainedWad,
  };
  const rows = await db
    .select({ digest: score.receiptDigest, ...values })
    .from(score)
    .innerJoin(receipt, eq(receipt.digest, score.receiptDigest))
    .where(and(inArray(receipt.batchId, batchIds), eq(score.methodHash, methodHash)));
  const candidates = await candidatesOf(db, batchIds);
  const influences = await influencesOf(db, batchIds, methodHash);
  return new Map(
    rows.map(({ digest, ...values }) => {
      const { context = [], adapter = [] } = Object.groupBy(
        influences.get(digest) ?? [],
        ({ player }) => player,
      );
      const passages = new Map(context.map(({ chunkId, scoreWad }) => [chunkId, scoreWad]));
      const records = adapter.map(({ chunkId, scoreWad }) => ({ chunkId, scoreWad }));
      return [digest, { ...values, candidates: candidates.get(digest) ?? [], passages, records }];
    }),
  );
}

async function candidatesOf(db: Reader, batchIds: bigint[]): Promise<Map<Hex, CandidateFacts[]>> {
  const { candidate, receipt } = engine;
  const { receiptDigest: digest, chunkId, inContext, rank } = candidate;
  const rows = await db
    .select({ digest, chunkId, inContext })
    .from(candidate)
    .innerJoin(receipt, eq(receipt.digest, digest))
    .where(inArray(receipt.batchId, batchIds))
    .orderBy(asc(digest), asc(rank));
  return Map.groupBy(rows, (row) => row.digest);
}

async function influencesOf(db: Reader, batchIds: bigint[], method: Hex) {
  const { influence, receipt } = engine;
  const { receiptDigest: digest, player, chunkId, scoreWad, rank, methodHash } = influence;
  const rows = await db
    .select({ digest, player, chunkId, scoreWad })
    .from(influence)
    .innerJoin(receipt, eq(receipt.digest, digest))
    .where(and(inArray(receipt.batchId, batchIds), eq(methodHash, method)))
    .orderBy(asc(digest), asc(player), asc(rank));
  return Map.groupBy(rows, (row) => row.digest);
}

async function usageOf(db: Reader, batchIds: bigint[]) {
  const rows = await db
    .select({ batchId: modelUsage.batchId, modelId: modelUsage.modelId, amountWei: modelUsage.amount })
    .from(modelUsage)
    .where(inArray(modelUsage.batchId, batchIds));
  return Map.groupBy(rows, (row) => row.batchId);
}
