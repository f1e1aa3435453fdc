import { and, asc, eq, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { readEvent } from "#schema/events";
import {
  type CheckedReceipt,
  type Claimed,
  claimedRanges,
  type Fault,
  unclaimed,
} from "#settlement/blob/batch";

type Batch = Pick<typeof onchain.batch.$inferSelect, "blockNumber" | "txHash" | "eventId">;

/**
 * A receipt counts in the one batch whose voucher claims cover its charge, so that none counts twice. Decided by the
 * chain alone: which of two batches was fetched first does not matter.
 */
export async function findUnclaimed(
  db: Drizzle,
  batch: Batch,
  receipts: readonly CheckedReceipt[],
): Promise<Fault | null> {
  return unclaimed(receipts, await readClaims(db, batch));
}

/** Claims of the batch's submission: those of its transaction since the settlement before it. */
async function readClaims(db: Drizzle, { blockNumber, txHash, eventId }: Batch): Promise<Map<Hex, Claimed>> {
  const { event } = onchain;
  const rows = await db
    .select()
    .from(event)
    .where(and(eq(event.blockNumber, blockNumber), eq(event.txHash, txHash), lte(event.id, eventId)))
    .orderBy(asc(event.id));
  const before = rows.findLastIndex(({ id, name }) => name === "BatchSettled" && id !== eventId);
  const claims = rows.slice(before + 1).map((row) => readEvent(row, "ChannelEscrow", "Claimed"));
  return claimedRanges(claims.filter((claim) => claim !== undefined));
}
