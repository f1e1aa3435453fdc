import { and, asc, eq } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { candidate, chunk, influence, receipt, score } from "#schema/offchain/index";
import * as disclosures from "#settlement/blob/disclosure";
import type { Method } from "./method.ts";
import type { Pool } from "./pool.ts";
import type { Task } from "./queue/run-jobs.ts";
import { recordRefusal } from "./refusal.ts";
import { type Score, scoreAnswer } from "./value.ts";

export type ScoringParts = { db: Drizzle; pool: Pool; method: Method };

/** Score one receipt under our method and write score and influences together; a score that exists is left alone. */
export async function scoreReceipt(
  { db, pool, method }: ScoringParts,
  { data: { eventId, receiptDigest, index } }: Task<"score-receipt">,
): Promise<void> {
  const refuse = (code: string, reason: string) =>
    recordRefusal(db, { eventId: `${eventId}:${index}`, subject: `receipt:${receiptDigest}`, code, reason });
  if (await isScored(db, receiptDigest, method)) return;
  const [row] = await db.select().from(receipt).where(eq(receipt.digest, receiptDigest));
  invariant(row !== undefined, `a scoring job has its receipt ${receiptDigest}`);
  const [model] = await db.select().from(onchain.model).where(eq(onchain.model.id, row.modelId));
  if (model?.artifactHash !== pool.artifactHash) {
    return refuse(
      "model_unavailable",
      `this engine replays artifact ${pool.artifactHash}, not ${model?.artifactHash}`,
    );
  }
  const disclosed = disclosures.decode(row.disclosure);
  invariant(disclosed.ok, "a stored disclosure was decoded before");
  const context = await readContext(db, receiptDigest);
  const { question, answer, answerTokenIds } = disclosed.value;
  const passages = context.map(({ text }) => text);
  const scored = await scoreAnswer(pool, { question, answer, answerTokenIds, passages });
  if (scored.ok) return writeScore(db, receiptDigest, method, scored.score, context);
  if (scored.retryable) throw new ScoringFailedError(receiptDigest, scored.code, scored.reason);
  return refuse(scored.code, scored.reason);
}

async function isScored(db: Drizzle, receiptDigest: Hex, method: Method): Promise<boolean> {
  const rows = await db
    .select({ digest: score.receiptDigest })
    .from(score)
    .where(and(eq(score.receiptDigest, receiptDigest), eq(score.methodHash, method.hash)));
  return rows.length > 0;
}

type ContextChunk = { chunkId: Hex; text: string };

/** Chunks in context, in rank order, which is the prompt's. */
async function readContext(db: Drizzle, receiptDigest: Hex): Promise<ContextChunk[]> {
  return db
    .select({ chunkId: candidate.chunkId, text: chunk.text })
    .from(candidate)
    .innerJoin(chunk, eq(chunk.id, candidate.chunkId))
    .where(and(eq(candidate.receiptDigest, receiptDigest), eq(candidate.inContext, true)))
    .orderBy(asc(candidate.rank));
}

async function writeScore(
  db: Drizzle,
  receiptDigest: Hex,
  method: Method,
  scored: Score,
  context: readonly ContextChunk[],
): Promise<void> {
  const { influences, ...values } = scored;
  const key = { receiptDigest, methodHash: method.hash };
  await db.transaction(async (tx) => {
    await tx
      .insert(score)
      .values({ ...key, method: method.text, ...values })
      .onConflictDoNothing();
    if (context.length === 0) return;
    const rows = context.map(({ chunkId }, position) => ({
      ...key,
      player: "context" as const,
      rank: position,
      chunkId,
      ...influences[position]!,
    }));
    await tx.insert(influence).values(rows).onConflictDoNothing();
  });
}

export class ScoringFailedError extends PipelineError {
  override readonly name = "ScoringFailedError";
  constructor(receiptDigest: Hex, code: string, reason: string) {
    super(`receipt ${receiptDigest} could not be scored: ${reason}`, { code, retryable: true });
  }
}
