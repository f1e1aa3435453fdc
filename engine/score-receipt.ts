import { and, asc, eq } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { candidate, chunk, duplicate, influence, receipt, score } from "#schema/offchain/index";
import * as disclosures from "#settlement/blob/disclosure";
import { type Found, findAdapter } from "./adapter/find-adapter.ts";
import { type AdapterScored, type RecordInfluence, scoreAdapterAnswer } from "./adapter/score.ts";
import type { AdapterOpener } from "./adapter/store.ts";
import type { Method } from "./method.ts";
import type { Pool } from "./pool.ts";
import type { Task } from "./queue/run-jobs.ts";
import { recordRefusal } from "./refusal.ts";
import type { Estimator } from "./score/estimate.ts";
import { orderSeed } from "./score/permutations.ts";
import { type Passage, type Score, scoreAnswer } from "./value.ts";

export type ScoringParts = {
  db: Drizzle;
  pool: Pool | null;
  method: Method;
  estimator: Estimator;
  /** Null for a black-box model. */
  openAdapter: AdapterOpener | null;
  /** Hash of a block once it is final; undefined before. */
  finalBlockHash: (blockNumber: bigint) => Promise<Hex | undefined>;
};

/** Score one receipt under our method and write score and influences together; a score that exists is left alone. */
export async function scoreReceipt(
  parts: ScoringParts,
  { data: { eventId, receiptDigest, index }, signal }: Task<"score-receipt">,
): Promise<void> {
  const { db, method } = parts;
  const refuse = (code: string, reason: string) =>
    recordRefusal(db, {
      ...{ eventId: `${eventId}:${index}`, subject: `receipt:${receiptDigest}` },
      ...{ code, reason, methodHash: method.hash },
    });
  if (await isScored(db, receiptDigest, method)) return;
  const [row] = await db.select().from(receipt).where(eq(receipt.digest, receiptDigest));
  invariant(row !== undefined, `a scoring job has its receipt ${receiptDigest}`);
  const scored = await computeScore(parts, row, signal);
  if (scored.ok) return writeScore(db, receiptDigest, method, scored);
  if (scored.retryable) throw new ScoringFailedError(receiptDigest, scored.code, scored.reason);
  return refuse(scored.code, scored.reason);
}

/** The score of a receipt by its row and what it names; nothing is written. @throws as `findModel`, `readContext`, `seedOf`. */
export async function computeScore(
  parts: Omit<ScoringParts, "method">,
  row: typeof receipt.$inferSelect,
  signal: AbortSignal,
  exactPlayersMax?: number,
): Promise<AdapterScored> {
  const { db, pool, estimator } = parts;
  const found = await findModel(parts, row, signal);
  if (!found.ok) return { ...found, retryable: false };
  const disclosed = disclosures.decode(row.disclosure);
  invariant(disclosed.ok, "a stored disclosure was decoded before");
  const { question, answer, answerTokenIds } = disclosed.value;
  const passages = await readContext(db, row.digest);
  const answered = { question, answer, answerTokenIds, passages };
  const way = {
    estimator,
    seed: () => seedOf(parts, row),
    ...(exactPlayersMax !== undefined && { exactPlayersMax }),
  };
  if (found.adapter !== null && pool !== null)
    return scoreAdapterAnswer({ pool, signal }, found.adapter, answered, way);
  const scored = await scoreAnswer({ pool, signal }, answered, way);
  return scored.ok ? { ...scored, records: [] } : scored;
}

/**
 * The receipt's model as this engine has it; a black-box model is never looked at.
 * @throws ModelUnknownError where the chain knows no model like ours: then we are wrong, not the receipt.
 */
async function findModel(
  { db, pool, openAdapter }: Omit<ScoringParts, "method">,
  row: typeof receipt.$inferSelect,
  signal: AbortSignal,
): Promise<Found> {
  if (pool === null || openAdapter === null) return { ok: true, adapter: null };
  await pool.assertSameFiles();
  const { artifactHash } = pool;
  const known = await db
    .select({ id: onchain.model.id })
    .from(onchain.model)
    .where(eq(onchain.model.artifactHash, artifactHash))
    .limit(1);
  if (known.length === 0) throw new ModelUnknownError(artifactHash);
  return findAdapter({ db, artifactHash, open: openAdapter, signal }, row);
}

/** Of the block after the batch's: no node that signed the receipt knew it. @throws BlockPendingError until it is final. */
async function seedOf(
  { db, finalBlockHash }: Pick<ScoringParts, "db" | "finalBlockHash">,
  row: typeof receipt.$inferSelect,
): Promise<Hex> {
  const [batch] = await db.select().from(onchain.batch).where(eq(onchain.batch.id, row.batchId));
  invariant(batch !== undefined, `a receipt has its batch ${row.batchId}`);
  const blockHash = await finalBlockHash(batch.blockNumber + 1n);
  if (blockHash === undefined) throw new BlockPendingError(batch.blockNumber + 1n);
  return orderSeed(blockHash, row.digest);
}

async function isScored(db: Drizzle, receiptDigest: Hex, method: Method): Promise<boolean> {
  const rows = await db
    .select({ digest: score.receiptDigest })
    .from(score)
    .where(and(eq(score.receiptDigest, receiptDigest), eq(score.methodHash, method.hash)));
  return rows.length > 0;
}

/**
 * Chunks in context, in rank order, which is the prompt's.
 * @throws ClassesPendingError until every candidate has its class of duplicates.
 */
async function readContext(db: Drizzle, receiptDigest: Hex): Promise<Passage[]> {
  const rows = await db
    .select({
      chunkId: candidate.chunkId,
      inContext: candidate.inContext,
      similarityMicro: candidate.scoreMicro,
      text: chunk.text,
      classId: duplicate.firstChunkId,
    })
    .from(candidate)
    .innerJoin(chunk, eq(chunk.id, candidate.chunkId))
    .leftJoin(duplicate, eq(duplicate.chunkId, candidate.chunkId))
    .where(eq(candidate.receiptDigest, receiptDigest))
    .orderBy(asc(candidate.rank));
  const open = rows.find(({ classId }) => classId === null);
  if (open !== undefined) throw new ClassesPendingError(open.chunkId);
  return rows.flatMap(({ inContext, text, classId, similarityMicro }) =>
    inContext ? [{ text, classId: classId!, similarityMicro }] : [],
  );
}

type Written = { score: Score; records: readonly RecordInfluence[] };

async function writeScore(
  db: Drizzle,
  receiptDigest: Hex,
  method: Method,
  { score: scored, records }: Written,
): Promise<void> {
  const { influences, ...values } = scored;
  const key = { receiptDigest, methodHash: method.hash };
  await db.transaction(async (tx) => {
    await tx
      .insert(score)
      .values({ ...key, method: method.text, ...values })
      .onConflictDoNothing();
    const rows = [
      ...influences.map((one, rank) => ({ ...key, player: "context" as const, rank, ...one })),
      ...records.map((one, rank) => ({ ...key, player: "adapter" as const, rank, ...one })),
    ];
    if (rows.length === 0) return;
    await tx.insert(influence).values(rows).onConflictDoNothing();
  });
}

export class ScoringFailedError extends PipelineError {
  override readonly name = "ScoringFailedError";
  constructor(receiptDigest: Hex, code: string, reason: string) {
    super(`receipt ${receiptDigest} could not be scored: ${reason}`, { code, retryable: true });
  }
}

export class ClassesPendingError extends PipelineError {
  override readonly name = "ClassesPendingError";
  constructor(chunkId: Hex) {
    super(`chunk ${chunkId} has no class of duplicates yet.`, { code: "classes_pending", retryable: true });
  }
}

export class BlockPendingError extends PipelineError {
  override readonly name = "BlockPendingError";
  constructor(blockNumber: bigint) {
    super(`block ${blockNumber}, which seeds the orders, is not final yet.`, {
      code: "block_pending",
      retryable: true,
    });
  }
}

/** Refusing receipts for it would take their money from whom they are owed: the engine's model folder is wrong. */
export class ModelUnknownError extends PipelineError {
  override readonly name = "ModelUnknownError";
  constructor(artifactHash: Hex) {
    super(
      `no model on chain has the artifact ${artifactHash} that this engine replays: is MODEL_FOLDER right?`,
      {
        code: "model_unknown",
        retryable: true,
      },
    );
  }
}
