import { and, asc, eq, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { readEvent } from "#schema/events";
import type { CheckedReceipt, Fault } from "./check-batch.ts";

type Batch = Pick<typeof onchain.batch.$inferSelect, "blockNumber" | "txHash" | "eventId">;

/** What a settlement claimed of a channel: cumulative wei, from exclusive, to inclusive. */
export type Claimed = { fromWei: bigint; toWei: bigint };

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

/** First receipt whose fee lies outside what the batch claimed of its channel. Pure. */
export function unclaimed(
  receipts: readonly Pick<CheckedReceipt, "digest" | "receipt">[],
  claims: ReadonlyMap<Hex, Claimed>,
): Fault | null {
  const stray = receipts.find(({ receipt: { channelId, cumulativeCharged, fee } }) => {
    const claimed = claims.get(channelId);
    if (claimed === undefined) return true;
    const isWithin = cumulativeCharged - fee >= claimed.fromWei && cumulativeCharged <= claimed.toWei;
    return !isWithin || cumulativeCharged === claimed.fromWei;
  });
  if (stray === undefined) return null;
  const { channelId, cumulativeCharged } = stray.receipt;
  const reason = `receipt ${stray.digest} charges channel ${channelId} to ${cumulativeCharged} wei, which the batch does not claim`;
  return { code: "unclaimed_receipt", reason };
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
  const claims = new Map<Hex, Claimed>();
  for (const row of rows.slice(before + 1)) {
    const claim = readEvent(row, "ChannelEscrow", "Claimed");
    if (claim === undefined) continue;
    const fromWei = claims.get(claim.channelId)?.fromWei ?? claim.newTotalClaimed - claim.claimAmount;
    claims.set(claim.channelId, { fromWei, toWei: claim.newTotalClaimed });
  }
  return claims;
}
