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

/**
 * A batch is given at most 1 / this of what it paid to the treasury out of carried amounts. Whoever asks about his own
 * records at his own node has his fee back but for the treasury's part: given as much again he would ask for the sake of
 * what is carried. Given half of it he loses the other half, whatever shares the deployment sets.
 */
export const carryDivisor = 2n;

/** A receipt and the most it may be given of its model's carried amount. */
export type Carrying = { modelId: Hex; carriedInWeiMax: bigint };

/**
 * What each receipt gets of its model's carried amount: in proportion to the most it may be given, ties in order. The
 * rest stays: `left`.
 */
export function carryIn(receipts: readonly Carrying[], before: readonly Carried[]) {
  const carriedInWei = receipts.map(() => 0n);
  const left: Carried[] = [];
  for (const { modelId, amountWei } of before) {
    const indices = receipts.flatMap((receipt, index) => (receipt.modelId === modelId ? [index] : []));
    const weights = indices.map((index) => receipts[index]!.carriedInWeiMax);
    const releasedWeiMax = sum(weights);
    const isAll = amountWei <= releasedWeiMax;
    const releasedWei = isAll ? amountWei : releasedWeiMax;
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
