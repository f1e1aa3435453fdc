import { type Address, zeroAddress } from "viem";
import { apportion, sum } from "#schema/apportion";
import { invariant } from "#schema/errors";
import type { Carried, ReceiptScore, Reward } from "../blob/provenance.ts";
import { carryIn, carryOut, poolsWithoutReceipts } from "./carry.ts";
import type { BatchFacts, Facts, ReceiptFacts } from "./facts.ts";
import { allocateReceipt } from "./receipt.ts";

/** What stood after the previous epoch. Both empty before the first. */
export type Standing = { carried: readonly Carried[]; rewards: readonly Reward[] };

/** What one epoch decides, in wei. `receipts` by (batch, position). */
export type Allocation = { receipts: ReceiptScore[]; carried: Carried[]; rewards: Reward[] };

/**
 * Allocate the pools of the batches, in log order, over what stood before.
 * Conserved to the wei: Σ pools = growth of Σ cumulative rewards + growth of Σ carried.
 */
export function allocateEpoch(batches: readonly BatchFacts[], before: Standing, facts: Facts): Allocation {
  const pooled = batches.flatMap((batch) => {
    const pools = spreadPool(batch.poolWei, batch.receipts);
    return batch.receipts.map((receipt, i) => ({
      receipt,
      modelId: receipt.modelId,
      batchId: batch.batchId,
      poolWei: pools[i]!,
    }));
  });
  const { carriedInWei, left } = carryIn(pooled, before.carried);
  const receipts = pooled.map(({ receipt, batchId, poolWei }, i) =>
    allocateReceipt(receipt, { batchId, poolWei, carriedInWei: carriedInWei[i]! }, facts),
  );
  const carried = carryOut(receipts, [...left, ...poolsWithoutReceipts(batches)]);
  const rewards = addRewards(before.rewards, receipts);
  const poolWei = sum(batches.map((batch) => batch.poolWei));
  invariant(
    poolWei + standingWei(before) === standingWei({ carried, rewards }),
    "an epoch loses or makes no wei",
  );
  return { receipts, carried, rewards };
}

/** A batch's pool over its receipts in proportion to fee, ties in order. Equal parts where every fee is zero. */
export function spreadPool(poolWei: bigint, receipts: readonly Pick<ReceiptFacts, "feeWei">[]): bigint[] {
  if (receipts.length === 0) return [];
  const fees = receipts.map(({ feeWei }) => feeWei);
  return apportion(poolWei, sum(fees) > 0n ? fees : fees.map(() => 1n));
}

/** Cumulative rewards with this epoch's entries added; ascending by account, all accounts ever paid. */
export function addRewards(before: readonly Reward[], receipts: readonly ReceiptScore[]): Reward[] {
  const totals = new Map<Address, bigint>(
    before.map(({ account, cumulativeWei }) => [account, cumulativeWei]),
  );
  for (const { account, amountWei } of receipts.flatMap(({ entries }) => entries)) {
    if (account === zeroAddress || amountWei === 0n) continue;
    totals.set(account, (totals.get(account) ?? 0n) + amountWei);
  }
  return [...totals]
    .map(([account, cumulativeWei]) => ({ account, cumulativeWei }))
    .sort((a, b) => (a.account < b.account ? -1 : 1));
}

function standingWei({ carried, rewards }: Standing): bigint {
  return sum(carried.map((c) => c.amountWei)) + sum(rewards.map((r) => r.cumulativeWei));
}
