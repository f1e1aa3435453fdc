import { and, asc, count, eq, gte, inArray, isNull, max, ne, sql } from "drizzle-orm";
import { bytesToHex, type Hex, hexToBytes, zeroHash } from "viem";
import type { Drizzle } from "#schema/database";
import { answer, batchRun, channelState } from "#schema/offchain/index";
import type { ReceiptScope } from "#settlement/blob/receipt";
import {
  compose,
  type StoredAnswer,
  type Submission,
  submissionFromJson,
  submissionToJson,
} from "./batch.ts";

/**
 * Rows of `serving.batch_run`. The settler is their only writer.
 *
 *     built ──disperse──▶ dispersed ──submitBatch mined──▶ submitted ──BatchSettled final──▶ settled
 *                             ▲                                │
 *                             └────── reorganised away ────────┘
 *     dispersed ──not covered by a channel's balance for too long──▶ (none): answers pending again, but that channel's
 *
 * `built`: the answers carry its root; a crash before this leaves them pending and builds the same batch again.
 * `dispersed`: the certificate is kept; a crash between dispersal and this row disperses once more, which only costs.
 * `submitted`: mined at the latest block; a crash after sending and before this row finds the batch on chain by its root.
 */
export type BatchState = "built" | "dispersed" | "submitted" | "settled";

export type BatchRun = {
  receiptsRoot: Hex;
  state: BatchState;
  sequence: number;
  payload: Uint8Array;
  contentHash: Hex;
  submission: Submission;
  daCommitment: Hex | null;
  /** Since when it is in its state. */
  updatedAt: Date;
};

/** `batchKey` of an answer that no batch will hold: its channel was emptied before it was settled, so nobody pays. */
export const unpaidKey: Hex = zeroHash;

/** Answers that are in no batch yet. */
export async function countPending(db: Drizzle): Promise<number> {
  const [row] = await db.select({ pending: count() }).from(answer).where(isNull(answer.batchKey));
  return row?.pending ?? 0;
}

/** Put the `size` oldest pending answers into a batch: row and answers in one transaction. Returns its root. */
export async function insertBatch(db: Drizzle, scope: ReceiptScope, size: number): Promise<Hex> {
  return db.transaction(async (tx) => {
    const answers = await tx
      .select({
        receiptDigest: answer.receiptDigest,
        channelId: answer.channelId,
        receipt: answer.receipt,
        signature: answer.signature,
        disclosure: answer.disclosure,
      })
      .from(answer)
      .where(isNull(answer.batchKey))
      .orderBy(asc(answer.sequence))
      .limit(size);
    const channelIds = answers.map(({ channelId }) => channelId);
    const vouchers = await tx.select().from(channelState).where(inArray(channelState.channelId, channelIds));
    const batch = compose(scope, answers as StoredAnswer[], vouchers);
    const [last] = await tx.select({ sequence: max(batchRun.sequence) }).from(batchRun);
    await tx.insert(batchRun).values({
      receiptsRoot: batch.receiptsRoot,
      state: "built",
      sequence: (last?.sequence ?? 0) + 1,
      payload: bytesToHex(batch.payload),
      contentHash: batch.contentHash,
      submission: submissionToJson(batch.submission),
    });
    const digests = answers.map(({ receiptDigest }) => receiptDigest);
    await tx
      .update(answer)
      .set({ batchKey: batch.receiptsRoot })
      .where(inArray(answer.receiptDigest, digests));
    return batch.receiptsRoot;
  });
}

/** Batches that are not settled, in the order they were built. */
export async function listOpen(db: Drizzle): Promise<BatchRun[]> {
  const rows = await db
    .select()
    .from(batchRun)
    .where(ne(batchRun.state, "settled"))
    .orderBy(asc(batchRun.sequence));
  return rows.map((row) => ({
    ...row,
    payload: hexToBytes(row.payload),
    submission: submissionFromJson(row.submission as ReturnType<typeof submissionToJson>),
  }));
}

/** Move a batch from one state to the next (or back); does nothing where it is no longer in `from`. */
export async function advance(
  db: Drizzle,
  run: Pick<BatchRun, "receiptsRoot">,
  from: BatchState,
  to: BatchState,
  fields: { daCommitment?: Hex; txHash?: Hex } = {},
): Promise<void> {
  await db
    .update(batchRun)
    .set({ state: to, ...fields, updatedAt: sql`now()` })
    .where(and(eq(batchRun.receiptsRoot, run.receiptsRoot), eq(batchRun.state, from)));
}

/**
 * Take a batch apart that can never be mined, and those built after it, whose claims build on its own. Answers of
 * `emptiedChannels` stay out of every batch; the others wait for the next, in the order served. Returns how many are lost.
 */
export async function dissolve(
  db: Drizzle,
  { sequence }: Pick<BatchRun, "sequence">,
  emptiedChannels: readonly Hex[],
): Promise<number> {
  return db.transaction(async (tx) => {
    const removed = await tx
      .delete(batchRun)
      .where(and(gte(batchRun.sequence, sequence), inArray(batchRun.state, ["built", "dispersed"])))
      .returning({ receiptsRoot: batchRun.receiptsRoot });
    const roots = removed.map(({ receiptsRoot }) => receiptsRoot);
    const lost = await tx
      .update(answer)
      .set({ batchKey: unpaidKey })
      .where(and(inArray(answer.batchKey, roots), inArray(answer.channelId, [...emptiedChannels])))
      .returning({ digest: answer.receiptDigest });
    await tx.update(answer).set({ batchKey: null }).where(inArray(answer.batchKey, roots));
    return lost.length;
  });
}
