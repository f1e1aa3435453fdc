import { zeroAddress } from "viem";
import { type Line, type ReceiptShares, receiptShares } from "#engine/composite/receipt-shares";
import { type PlayerValues, playerValues } from "#engine/score/total";
import { sum } from "#schema/apportion";
import { reasons, roles } from "../blob/codes.ts";
import type { Entry, ReceiptScore } from "../blob/provenance.ts";
import { carriedEntry } from "./carry.ts";
import type { Facts, InfluenceFacts, ReceiptFacts } from "./facts.ts";
import { type ChunkLine, type LineParts, lineEntries, type Player, zeroEntry } from "./line.ts";
import { lineage } from "./lineage.ts";
import { wad } from "./wad.ts";

/** Micro-nats → wad of nats: published values are multiples of it. */
const micro = 10n ** 12n;

export type Money = { batchId: bigint; poolWei: bigint; carriedInWei: bigint };

/** A receipt whose data part is divided into signed lines, before the epoch's netting. */
export type SharedReceipt = {
  receipt: ReceiptFacts;
  money: Money;
  dataWei: bigint;
  /** Passages that are players, in the order of the first of each class in context. */
  passages: readonly InfluenceFacts[];
  players: PlayerValues;
  shares: ReceiptShares;
};

/** The record of a line: a chunk may move one answer both as a passage and as a training record. */
export function lineIdOf(player: Player, chunkId: string): string {
  return `${player} ${chunkId}`;
}

/** The data part, dataShareWad of pool and carried amount, as signed lines of the chunks that moved the answer. */
export function shareReceipt(receipt: ReceiptFacts, money: Money, facts: Facts): SharedReceipt {
  const dataWei = ((money.poolWei + money.carriedInWei) * receipt.dataShareWad) / wad;
  const passages = passagesOf(receipt, facts);
  const players = playerValues({
    baseMicro: receipt.valueBaseWad / micro,
    contextMicro: receipt.valueContextWad / micro,
    adapterMicro: receipt.valueAdapterWad / micro,
    bothMicro: receipt.valueBothWad / micro,
  });
  const influences = (player: Player, of: readonly InfluenceFacts[]) =>
    of.map(({ chunkId, scoreWad }) => ({
      recordId: lineIdOf(player, chunkId),
      owner: facts.contributionOf(chunkId)?.contributor ?? zeroAddress,
      influenceMicro: scoreWad / micro,
    }));
  const shares = receiptShares({
    receiptDigest: receipt.receiptDigest,
    dataWei,
    players,
    passages: influences("context", passages),
    records: influences("adapter", receipt.records),
    unexplainedMicro: receipt.unexplainedWad / micro,
    unlistedMicro: unlistedMicro(receipt, players.adapterMicro),
  });
  return { receipt, money, dataWei, passages, players, shares };
}

/** What netting left of a line; undefined where the line gave nothing. */
export type PartsOf = (line: Pick<Line, "receiptDigest" | "recordId">) => LineParts | undefined;

/**
 * Entries: candidates in rank order, training records in theirs, the adapter's owner, the models, then what is carried.
 * Σ amountWei = poolWei + carriedInWei.
 */
export function allocateReceipt(shared: SharedReceipt, partsOf: PartsOf, facts: Facts): ReceiptScore {
  const { receipt, money, dataWei, shares } = shared;
  const lineOf = (player: Player, influence: InfluenceFacts): ChunkLine => {
    const { receiptDigest } = receipt;
    const parts = partsOf({ receiptDigest, recordId: lineIdOf(player, influence.chunkId) }) ?? null;
    return { ...influence, player, parts, zeroReason: zeroReasonOf(player, influence, shared) };
  };
  const entries = [
    ...candidateEntries(shared, (passage) => lineOf("context", passage), facts),
    ...receipt.records.flatMap((record) => lineEntries(lineOf("adapter", record), facts)),
    ...adapterOwnerEntries(shared, facts),
    ...lineage(receipt.modelId, money.poolWei + money.carriedInWei - dataWei, facts),
    ...carriedForModel(receipt, shares.unlistedWei, reasons.unlisted),
    ...carriedForModel(receipt, shares.unclaimedWei, reasons.noRecipient),
  ];
  return scoreOf(receipt, money, entries);
}

/** Classes of duplicates in context, each under its first chunk, in the order of their first member in context. */
function passagesOf({ candidates, passages }: ReceiptFacts, facts: Facts): InfluenceFacts[] {
  const classes = new Set(
    candidates.flatMap(({ chunkId, inContext }) => (inContext ? [firstOf(chunkId, facts)] : [])),
  );
  return [...classes].map((chunkId) => ({ chunkId, scoreWad: passages.get(chunkId) ?? 0n }));
}

function firstOf(chunkId: InfluenceFacts["chunkId"], facts: Facts) {
  return facts.membershipOf(chunkId)?.firstChunkId ?? chunkId;
}

/**
 * Each candidate in rank order. The line of a class stands where its first chunk is a candidate, in context or below the
 * cut; otherwise after its first member in context.
 */
function candidateEntries(
  { receipt, passages }: SharedReceipt,
  lineOf: (influence: InfluenceFacts) => ChunkLine,
  facts: Facts,
): Entry[] {
  const waiting = new Map(passages.map((passage) => [passage.chunkId, passage]));
  const ranked = new Set(receipt.candidates.map(({ chunkId }) => chunkId));
  return receipt.candidates.flatMap(({ chunkId, inContext }) => {
    const own = waiting.get(chunkId);
    if (own !== undefined) return lineEntries(lineOf(own), facts);
    const zero = { player: "context" as const, chunkId, scoreWad: 0n };
    if (!inContext) return [zeroEntry(zero, reasons.belowCut, facts)];
    const first = firstOf(chunkId, facts);
    const copy = zeroEntry(zero, reasons.duplicate, facts);
    const line = ranked.has(first) ? undefined : waiting.get(first);
    if (line === undefined) return [copy];
    waiting.delete(first);
    return [copy, ...lineEntries(lineOf(line), facts)];
  });
}

function zeroReasonOf(player: Player, { scoreWad }: InfluenceFacts, { players }: SharedReceipt): number {
  if (player === "context" && !players.contextHelped) return reasons.contextDidNotHelp;
  return scoreWad > 0n ? reasons.roundsToZero : reasons.noEffect;
}

/** What records helped that are not listed: the adapter's worth less what the listed ones and its owner have of it. */
function unlistedMicro({ records, unexplainedWad }: ReceiptFacts, adapterMicro: bigint): bigint {
  const listed = sum(records.map(({ scoreWad }) => (scoreWad > 0n ? scoreWad : 0n)));
  const rest = adapterMicro - (listed + unexplainedWad) / micro;
  return rest > 0n ? rest : 0n;
}

/** Always there where something is unexplained, so that who recomputes the shares knows how much. */
function adapterOwnerEntries({ receipt, shares }: SharedReceipt, facts: Facts): Entry[] {
  const { modelId: subject, unexplainedWad: scoreWad } = receipt;
  if (scoreWad === 0n) return [];
  const owner = facts.modelOf(subject)?.owner;
  const amountWei = shares.adapterOwnerWei;
  const base = { role: roles.adapterOwner, subject, contributionBatchId: 0n, scoreWad };
  if (owner === undefined) {
    const zero = { ...base, account: zeroAddress, amountWei: 0n, reason: reasons.noRecipient };
    return [zero, ...carriedForModel(receipt, amountWei, reasons.noRecipient)];
  }
  return [
    { ...base, account: owner, amountWei, reason: amountWei > 0n ? reasons.paid : reasons.roundsToZero },
  ];
}

function carriedForModel({ modelId }: ReceiptFacts, amountWei: bigint, reason: number): Entry[] {
  return amountWei > 0n ? [carriedEntry({ subject: modelId, amountWei, reason })] : [];
}

function scoreOf(receipt: ReceiptFacts, money: Money, entries: Entry[]): ReceiptScore {
  const { receiptDigest, modelId, dataShareWad } = receipt;
  const { valueBaseWad, valueContextWad, valueAdapterWad, valueBothWad } = receipt;
  const values = { valueBaseWad, valueContextWad, valueAdapterWad, valueBothWad, dataShareWad };
  return { receiptDigest, modelId, ...money, ...values, entries };
}
