import { apportion, sum } from "#schema/apportion";
import type { PlayerValues } from "../score/total.ts";

/** A record that moved an answer: a passage or a training record, its influence scaled to its player's value. */
export type Influence = {
  readonly recordId: string;
  readonly owner: string;
  readonly influenceMicro: bigint;
};

export type ScoredReceipt = {
  readonly receiptDigest: string;
  /** Data's part of the receipt's pool. */
  readonly dataWei: bigint;
  readonly players: Omit<PlayerValues, "dataShareWad">;
  readonly passages: readonly Influence[];
  readonly records: readonly Influence[];
  /** What the adapter is worth beyond what its records explain. */
  readonly unexplainedMicro: bigint;
  /** What the records that helped, but are too small to be among `records`, explain together. */
  readonly unlistedMicro?: bigint;
};

/** A record's signed part of one receipt's data share. Negative wei are no money: they only count in the owner's net. */
export type Line = {
  readonly receiptDigest: string;
  readonly recordId: string;
  readonly owner: string;
  readonly signedWei: bigint;
};

/** Σ positive lines + adapterOwnerWei + unlistedWei + unclaimedWei = dataWei. */
export type ReceiptShares = {
  readonly passages: readonly Line[];
  readonly records: readonly Line[];
  readonly adapterOwnerWei: bigint;
  /** Of records too small to be listed: carried for the model. */
  readonly unlistedWei: bigint;
  /** Nobody helped, or nobody knows who: carried for the model. */
  readonly unclaimedWei: bigint;
};

/**
 * Divide one receipt's data share into signed wei by its own influences. First between the players: by what they are
 * worth, the context only where it helped the model that answered. Then among passages that helped, and among training
 * records that helped beside what the adapter's owner is left; a player's part that nobody in it earned is nobody's.
 * A record that harmed gets negative wei at its receipt's own price of a nat. Positive lines never exceed the share: a
 * receipt's fee pays for its own answer only. A line for each passage and record, in their order; none where its player
 * gets nothing.
 */
export function receiptShares(receipt: ScoredReceipt): ReceiptShares {
  const {
    receiptDigest,
    dataWei,
    players,
    passages,
    records,
    unexplainedMicro,
    unlistedMicro = 0n,
  } = receipt;
  const [contextWei, adapterWei] = divide(dataWei, [
    players.contextHelped ? players.contextMicro : 0n,
    positive(players.adapterMicro),
  ]);
  const [passagesWei] = divide(contextWei!, [helpedMicro(passages)]);
  const claims = [helpedMicro(records), unexplainedMicro, unlistedMicro];
  const [recordsWei, adapterOwnerWei, unlistedWei] = divide(adapterWei!, claims);
  return {
    passages: signedLines(receiptDigest, passages, passagesWei!),
    records: signedLines(receiptDigest, records, recordsWei!),
    adapterOwnerWei: adapterOwnerWei!,
    unlistedWei: unlistedWei!,
    unclaimedWei: dataWei - passagesWei! - recordsWei! - adapterOwnerWei! - unlistedWei!,
  };
}

/** By weight, to the wei; nothing to anybody where all weights are zero. */
function divide(totalWei: bigint, weights: readonly bigint[]): bigint[] {
  return sum(weights) > 0n ? apportion(totalWei, weights) : weights.map(() => 0n);
}

function helpedMicro(influences: readonly Influence[]): bigint {
  return sum(influences.map(({ influenceMicro }) => positive(influenceMicro)));
}

/**
 * Positives share `totalWei` exactly, by largest remainder; negatives at the same wei per nat, but all together never more
 * than `totalWei` (rounded away from zero, a wei each): or a cheap question that others' records answer badly could cost
 * them more than it cost to ask.
 */
function signedLines(receiptDigest: string, influences: readonly Influence[], totalWei: bigint): Line[] {
  const helped = influences.map(({ influenceMicro }) => positive(influenceMicro));
  const harmed = influences.map(({ influenceMicro }) => positive(-influenceMicro));
  if (totalWei === 0n) return [];
  const [help, harm] = [sum(helped), sum(harmed)];
  const isMostlyHarm = harm > help;
  const perNat = isMostlyHarm ? harm : help;
  const parts = apportion(totalWei, helped);
  return influences.map(({ recordId, owner }, i) => {
    const harmWei = (harmed[i]! * totalWei + perNat - 1n) / perNat;
    return { receiptDigest, recordId, owner, signedWei: parts[i]! - harmWei };
  });
}

function positive(value: bigint): bigint {
  return value > 0n ? value : 0n;
}
