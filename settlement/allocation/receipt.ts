import { apportion, sum } from "#schema/apportion";
import { reasons } from "../blob/codes.ts";
import type { Entry, ReceiptScore } from "../blob/provenance.ts";
import { carriedEntry } from "./carry.ts";
import { chunkEntries, zeroEntry } from "./chunk.ts";
import type { Facts, ReceiptFacts } from "./facts.ts";
import { lineage } from "./lineage.ts";

/** Fixed-point one of `…Wad` values. */
export const wad = 10n ** 18n;

/**
 * Who gets what of one receipt. The data part, dataShareWad of pool and carried amount, goes to chunks in context with
 * a positive score; the rest to the model's lineage. Entries: candidates in rank order, then models, then carried.
 * Σ amountWei = poolWei + carriedInWei.
 */
export function allocateReceipt(
  receipt: ReceiptFacts,
  money: { batchId: bigint; poolWei: bigint; carriedInWei: bigint },
  facts: Facts,
): ReceiptScore {
  const totalWei = money.poolWei + money.carriedInWei;
  const dataWei = (totalWei * receipt.dataShareWad) / wad;
  const weights = receipt.candidates.map(({ inContext, scoreWad }) =>
    inContext && scoreWad > 0n && receipt.dataShareWad > 0n ? scoreWad : 0n,
  );
  const hasEarner = sum(weights) > 0n;
  const amounts = hasEarner ? apportion(dataWei, weights) : weights;
  const entries = receipt.candidates.flatMap((candidate, i): Entry[] => {
    const contribution = facts.contributionOf(candidate.chunkId);
    if (weights[i]! > 0n) return chunkEntries(candidate, contribution, amounts[i]!);
    return [zeroEntry(candidate, contribution, zeroReason(receipt, candidate.inContext))];
  });
  const modelEntries = lineage(receipt.modelId, totalWei - dataWei, facts);
  if (dataWei > 0n && !hasEarner) {
    modelEntries.push(
      carriedEntry({ subject: receipt.modelId, amountWei: dataWei, reason: reasons.noRecipient }),
    );
  }
  return scoreOf(receipt, money, [...entries, ...modelEntries]);
}

function zeroReason({ dataShareWad }: ReceiptFacts, inContext: boolean): number {
  if (!inContext) return reasons.belowCut;
  return dataShareWad === 0n ? reasons.contextDidNotHelp : reasons.noEffect;
}

function scoreOf(
  receipt: ReceiptFacts,
  money: { batchId: bigint; poolWei: bigint; carriedInWei: bigint },
  entries: Entry[],
): ReceiptScore {
  const { receiptDigest, modelId, valueFullWad, valueEmptyWad, dataShareWad } = receipt;
  return { receiptDigest, modelId, ...money, valueFullWad, valueEmptyWad, dataShareWad, entries };
}
