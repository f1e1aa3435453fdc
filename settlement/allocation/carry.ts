import { type Hex, zeroAddress } from "viem";
import { apportion, sum } from "#schema/apportion";
import { roles } from "../blob/codes.ts";
import type { Carried, Entry, ReceiptScore } from "../blob/provenance.ts";
import type { BatchFacts } from "./facts.ts";

/** Entry of an amount nobody gets now: it waits for the model's next receipts. `scoreWad` is the chunk's, if one is the subject. */
export function carriedEntry(e: {
  subject: Hex;
  amountWei: bigint;
  reason: number;
  contributionBatchId?: bigint;
  scoreWad?: bigint;
}): Entry {
  const { contributionBatchId = 0n, scoreWad = 0n, ...rest } = e;
  return { role: roles.carried, account: zeroAddress, contributionBatchId, scoreWad, ...rest };
}

/** A receipt with the pool it shares in. */
export type Pooled = { modelId: Hex; poolWei: bigint };

/**
 * What each receipt gets of its model's carried amount: in proportion to poolWei, ties in order, at most as much again
 * as its own pool. The rest stays: `left`. Without that limit one receipt of a wei would take all that waits.
 */
export function carryIn(receipts: readonly Pooled[], before: readonly Carried[]) {
  const carriedInWei = receipts.map(() => 0n);
  const left: Carried[] = [];
  for (const { modelId, amountWei } of before) {
    const indices = receipts.flatMap((receipt, index) => (receipt.modelId === modelId ? [index] : []));
    const weights = indices.map((index) => receipts[index]!.poolWei);
    const poolWei = sum(weights);
    const isAll = amountWei <= poolWei;
    const releasedWei = isAll ? amountWei : poolWei;
    for (const [i, part] of apportion(releasedWei, weights).entries()) carriedInWei[indices[i]!] = part;
    if (!isAll) left.push({ modelId, amountWei: amountWei - releasedWei });
  }
  return { carriedInWei, left };
}

/** Pools of batches without receipts, by model in proportion to what its calls cost: the chain's ModelUsage. */
export function poolsWithoutReceipts(batches: readonly BatchFacts[]): Carried[] {
  return batches
    .filter(({ receipts }) => receipts.length === 0)
    .flatMap(({ poolWei, usage }) => {
      const ordered = [...usage].sort((a, b) => (a.modelId < b.modelId ? -1 : 1));
      const parts = apportion(
        poolWei,
        ordered.map(({ amountWei }) => amountWei),
      );
      return ordered.map(({ modelId }, i) => ({ modelId, amountWei: parts[i]! }));
    });
}

/** Carried per model after the epoch: `amounts` left and added, plus every role-4 entry. Ascending by model, none of zero. */
export function carryOut(receipts: readonly ReceiptScore[], amounts: readonly Carried[]): Carried[] {
  const entries = receipts.flatMap(({ modelId, entries }) =>
    entries.filter(({ role }) => role === roles.carried).map(({ amountWei }) => ({ modelId, amountWei })),
  );
  const totals = new Map<Hex, bigint>();
  for (const { modelId, amountWei } of [...amounts, ...entries]) {
    totals.set(modelId, (totals.get(modelId) ?? 0n) + amountWei);
  }
  return [...totals]
    .filter(([, amountWei]) => amountWei > 0n)
    .map(([modelId, amountWei]) => ({ modelId, amountWei }))
    .sort((a, b) => (a.modelId < b.modelId ? -1 : 1));
}
