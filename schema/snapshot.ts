import { and, asc, eq, gt, inArray, isNull, lte, notExists, or, sql } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "./bind.ts";
import type { Drizzle, Transaction } from "./database.ts";
import { PipelineError } from "./errors.ts";
import { chunk, duplicate, refusal } from "./offchain/40-engine.ts";

/** A record of a Datanet, with the first registered record of its class of duplicates. */
export type SnapshotRecord = {
  chunkId: Hex;
  firstChunkId: Hex;
  datanetId: bigint;
  source: string;
  text: string;
};

const { contribution } = onchain;
/** `state` of a contribution that was accepted; the second has been retracted since. */
const acceptedStates = [2, 5];

/**
 * Records of these Datanets that stood at the end of a final block: of contributions resolved up to it as accepted and
 * not retracted by then. Ascending by contribution and index. Who trains an adapter and who attributes its answers read
 * the same.
 * @throws SnapshotPendingError while one of them is still to be fetched or classified.
 */
export async function readSnapshot(
  db: Drizzle,
  datanetIds: readonly bigint[],
  block: bigint,
): Promise<SnapshotRecord[]> {
  return db.transaction((tx) => readIn(tx, datanetIds, block), {
    isolationLevel: "repeatable read",
    accessMode: "read only",
  });
}

async function readIn(
  tx: Transaction,
  datanetIds: readonly bigint[],
  block: bigint,
): Promise<SnapshotRecord[]> {
  const { id, resolvedBlock, retractedBlock, state, datanetId } = contribution;
  const stood = and(
    inArray(datanetId, [...datanetIds]),
    inArray(state, acceptedStates),
    lte(resolvedBlock, block),
    or(isNull(retractedBlock), gt(retractedBlock, block)),
  );
  const open = await tx
    .select({ id })
    .from(contribution)
    .where(
      and(
        stood,
        notExists(tx.select({ id: chunk.id }).from(chunk).where(eq(chunk.contributionId, id))),
        notExists(
          tx
            .select({ id: refusal.eventId })
            .from(refusal)
            .where(eq(refusal.subject, sql`'contribution:' || ${id}`)),
        ),
      ),
    )
    .limit(1);
  if (open.length > 0) throw new SnapshotPendingError(`contribution ${open[0]!.id} is not fetched yet`);
  const rows = await tx
    .select({
      chunkId: chunk.id,
      firstChunkId: duplicate.firstChunkId,
      datanetId: chunk.datanetId,
      source: chunk.source,
      text: chunk.text,
    })
    .from(chunk)
    .innerJoin(contribution, eq(id, chunk.contributionId))
    .leftJoin(duplicate, eq(duplicate.chunkId, chunk.id))
    .where(stood)
    .orderBy(asc(chunk.contributionId), asc(chunk.index));
  return rows.map(({ firstChunkId, ...row }) => {
    if (firstChunkId === null)
      throw new SnapshotPendingError(`chunk ${row.chunkId} is not compared with earlier ones yet`);
    return { ...row, firstChunkId };
  });
}

export class SnapshotPendingError extends PipelineError {
  override readonly name = "SnapshotPendingError";
  constructor(reason: string) {
    super(`The records are not complete: ${reason}. Try again in some seconds.`, {
      code: "snapshot_pending",
      retryable: true,
    });
  }
}
