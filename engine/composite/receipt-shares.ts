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
  readonly players: Pick<PlayerValues, "contextMicro" | "adapterMicro">;
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
  /** Nobody helped: carried for the model. */
  readonly unclaimedWei: bigint;
};

/**
 * Divide one receipt's data share into signed wei by its own influences. First between the players, by their positive
 * values; then among passages that helped, and among training records that helped beside what the adapter's owner is left.
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
  const worth = [players.contextMicro, players.adapterMicro].map(positive);
  const helped = [passages, records].map((of) =>
    sum(of.map(({ influenceMicro }) => positive(influenceMicro))),
  );
  const claims = [helped[0]!, helped[1]! + unexplainedMicro + unlistedMicro];
  const weights = worth.map((value, i) => (claims[i]! > 0n ? value : 0n));
  if (sum(weights) === 0n)
    return { passages: [], records: [], adapterOwnerWei: 0n, unlistedWei: 0n, unclaimedWei: dataWei };
  const [contextWei, adapterWei] = apportion(dataWei, weights);
  const [recordsWei, adapterOwnerWei, unlistedWei] =
    claims[1]! > 0n ? apportion(adapterWei!, [helped[1]!, unexplainedMicro, unlistedMicro]) : [0n, 0n, 0n];
  return {
    passages: signedLines(receiptDigest, passages, contextWei!),
    records: signedLines(receiptDigest, records, recordsWei!),
    adapterOwnerWei: adapterOwnerWei!,
    unlistedWei: unlistedWei!,
    unclaimedWei: 0n,
  };
}

/**
 * Positives share `totalWei` exactly, by largest remainder; negatives at the same wei per nat, but all together never more
 * than `totalWei` (rounded away from zero, a wei each): or a cheap question that others' records answer badly could cost
 * them more than it cost to ask.
 */
function signedLines(receiptDigest: string, influences: readonly Influence[], totalWei: bigint): Line[] {
  const helped = influences.map(({ influenceMicro }) => positive(influenceMicro));
  const harmed = influences.map(({ influenceMicro }) => positive(-influenceMicro));
  const [helpedMicro, harmedMicro] = [sum(helped), sum(harmed)];
  if (helpedMicro === 0n || totalWei === 0n) return [];
  const isMostlyHarm = harmedMicro > helpedMicro;
  const perNat = isMostlyHarm ? harmedMicro : helpedMicro;
  const parts = apportion(totalWei, helped);
  return influences.map(({ recordId, owner }, i) => {
    const harmWei = (harmed[i]! * totalWei + perNat - 1n) / perNat;
    return { receiptDigest, recordId, owner, signedWei: parts[i]! - harmWei };
  });
}

function positive(value: bigint): bigint {
  return value > 0n ? value : 0n;
}
