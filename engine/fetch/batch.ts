import { and, eq, inArray, lt, notExists, sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import type { Hex } from "viem";
import { apportion } from "#schema/apportion";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { readEvent } from "#schema/events";
import { candidate, chunk, receipt, refusal } from "#schema/offchain/index";
import { type CheckedReceipt, checkBatch, type Fault } from "#settlement/blob/batch";
import { kinds } from "#settlement/blob/payload";
import * as tree from "#settlement/tree/tree";
import { rowsPerInsert } from "../constants.ts";
import { enqueue } from "../queue/queues.ts";
import type { Task } from "../queue/run-jobs.ts";
import { recordRefusal } from "../refusal.ts";
import { findUnclaimed } from "./claimed.ts";
import { type BlobReader, fetchPayload, keepPayload } from "./payload.ts";

export type BatchParts = { db: Drizzle; boss: PgBoss; reader: BlobReader; chainId: bigint; hub: Hex };

const { contribution } = onchain;
/** `state` of a contribution that was accepted; the second has been retracted since. */
const acceptedStates = [2, 5];
/** Most contributions that an error names. */
const pendingNamedMax = 10;

type Batch = typeof onchain.batch.$inferSelect;
/**
 * Fetch a settled batch and write its receipts, their candidates and a scoring job each, in one transaction; or
 * record why it is refused. Doing it again changes nothing.
 * @throws ChunksPendingError while a contribution that was accepted before the batch is still being fetched.
 */
export async function fetchBatch(
  parts: BatchParts,
  { data: { eventId, batchId }, isLastTry }: Task<"fetch-batch">,
): Promise<void> {
  const { db, boss } = parts;
  const [batch] = await db
    .select()
    .from(onchain.batch)
    .where(eq(onchain.batch.id, BigInt(batchId)));
  invariant(batch !== undefined, `a final settlement has its batch ${batchId}`);
  const refuse = ({ code, reason }: Fault) =>
    recordRefusal(db, { eventId, subject: `batch:${batchId}`, code, reason });
  const fetched = await fetchPayload(parts.reader, batch, isLastTry);
  if (!fetched.ok) return refuse(fetched);
  const usage = await db.select().from(onchain.modelUsage).where(eq(onchain.modelUsage.batchId, batch.id));
  const checked = await checkBatch(fetched.bytes, { ...batch, ...parts, usage });
  if (!checked.ok) return refuse(checked);
  const fault =
    (await findUnclaimed(db, batch, checked.receipts)) ??
    (await db.transaction((tx) => findStrayChunk(tx, batch, checked.receipts), snapshot));
  if (fault !== null) return refuse(fault);
  await db.transaction(async (tx) => {
    await keepPayload(tx, kinds.receipts, batch.contentHash, fetched);
    const rows = receiptRows(batch, checked.receipts);
    const inserted = await tx
      .insert(receipt)
      .values(rows)
      .onConflictDoNothing()
      .returning({ digest: receipt.digest });
    if (inserted.length === 0) return;
    const candidates = checked.receipts.flatMap(candidateRows);
    for (let from = 0; from < candidates.length; from += rowsPerInsert) {
      await tx
        .insert(candidate)
        .values(candidates.slice(from, from + rowsPerInsert))
        .onConflictDoNothing();
    }
    const jobs = rows.map(({ digest, index }) => ({ eventId, receiptDigest: digest, index }));
    await enqueue(boss, tx, "score-receipt", jobs);
    const copied = rows.map(({ digest }) => ({ receiptDigest: digest }));
    await enqueue(boss, tx, "find-spans", copied);
  });
}

/** All reads see one state: a contribution fetched between two of them would be missing and yet not open. */
const snapshot = { isolationLevel: "repeatable read", accessMode: "read only" } as const;

/**
 * Every chunk a receipt names must be of a contribution resolved in a block before the batch's, and of a Datanet its
 * model uses. The block decides, not what has been fetched by now: ids of chunks can be known before they are accepted.
 */
async function findStrayChunk(
  db: Transaction,
  batch: Batch,
  receipts: readonly CheckedReceipt[],
): Promise<Fault | null> {
  const named = receipts.flatMap(({ receipt: { modelId }, disclosed }) =>
    disclosed.candidates.map(({ chunkId }) => ({ modelId, chunkId })),
  );
  if (named.length === 0) return null;
  const ids = [...new Set(named.map(({ chunkId }) => chunkId))];
  const chunks = await db
    .select({ id: chunk.id, datanetId: chunk.datanetId })
    .from(chunk)
    .innerJoin(contribution, eq(contribution.id, chunk.contributionId))
    .where(and(inArray(chunk.id, ids), lt(contribution.resolvedBlock, batch.blockNumber)));
  const datanetOf = new Map(chunks.map(({ id, datanetId }) => [id, datanetId]));
  const missing = ids.find((id) => !datanetOf.has(id));
  if (missing !== undefined) {
    await assertContributionsFetched(db, batch);
    return {
      code: "unknown_chunk",
      reason: `chunk ${missing} is of no contribution accepted before the batch`,
    };
  }
  const uses = await findUses(db, batch);
  const stray = named.find(({ modelId, chunkId }) => !uses.has(`${modelId} ${datanetOf.get(chunkId)}`));
  return stray === undefined
    ? null
    : {
        code: "chunk_of_other_datanet",
        reason: `chunk ${stray.chunkId} is of no Datanet of model ${stray.modelId}`,
      };
}

/**
 * "model Datanet" of each Datanet a model retrieves from, declared before the batch with an empty snapshot. From the
 * log: `onchain.model_datanet` keeps the last declaration alone, which may be younger than the batch.
 */
export async function findUses(db: Drizzle | Transaction, batch: Batch): Promise<Set<string>> {
  const { event } = onchain;
  const rows = await db
    .select()
    .from(event)
    .where(
      and(eq(event.contract, "ModelRegistry"), eq(event.name, "DatanetUsed"), lt(event.id, batch.eventId)),
    );
  const declared = rows.map((row) => readEvent(row, "ModelRegistry", "DatanetUsed"));
  return new Set(
    declared.flatMap((used) =>
      used?.snapshotRoot === tree.zeroRoot ? [`${used.modelId} ${used.datanetId}`] : [],
    ),
  );
}

/** A chunk may only be called unknown once every contribution accepted before the batch has its rows or its refusal. */
export async function assertContributionsFetched(db: Drizzle | Transaction, batch: Batch): Promise<void> {
  const { id, resolvedBlock, state } = contribution;
  const open = await db
    .select({ id })
    .from(contribution)
    .where(
      and(
        lt(resolvedBlock, batch.blockNumber),
        inArray(state, acceptedStates),
        notExists(db.select({ id: chunk.id }).from(chunk).where(eq(chunk.contributionId, id))),
        notExists(
          db
            .select({ id: refusal.eventId })
            .from(refusal)
            .where(eq(refusal.subject, sql`'contribution:' || ${id}`)),
        ),
      ),
    )
    .orderBy(id)
    .limit(pendingNamedMax);
  if (open.length > 0) throw new ChunksPendingError(open.map((row) => row.id));
}

function receiptRows(batch: Batch, receipts: readonly CheckedReceipt[]) {
  const poolWei = apportion(
    batch.poolShare,
    receipts.map(({ receipt: { fee } }) => fee),
  );
  return receipts.map(({ digest, receipt: r, signature, disclosure, disclosed }, index) => ({
    digest,
    batchId: batch.id,
    index,
    requestId: r.requestId,
    payer: r.payer,
    node: r.node,
    modelId: r.modelId,
    adapterSet: r.adapterSet,
    feeWei: r.fee,
    poolWei: poolWei[index]!,
    channelId: r.channelId,
    cumulativeChargedWei: r.cumulativeCharged,
    promptTokens: r.promptTokens,
    completionTokens: r.completionTokens,
    servedAt: r.servedAt,
    inputCommit: r.inputCommit,
    outputCommit: r.outputCommit,
    retrievalCommit: r.retrievalCommit,
    paramsHash: r.paramsHash,
    profileHash: r.profileHash,
    provenanceMode: r.provenanceMode,
    signature,
    disclosure,
    question: disclosed.question,
    answer: disclosed.answer,
  }));
}

function candidateRows({ digest, disclosed }: CheckedReceipt) {
  return disclosed.candidates.map((ranked, rank) => ({ receiptDigest: digest, rank, ...ranked }));
}

export class ChunksPendingError extends PipelineError {
  override readonly name = "ChunksPendingError";
  constructor(contributionIds: readonly bigint[]) {
    super(`contributions ${contributionIds.join(", ")} are not fetched yet.`, {
      code: "chunks_pending",
      retryable: true,
    });
  }
}
