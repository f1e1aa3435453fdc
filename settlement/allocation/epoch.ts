import { type Address, type Hex, zeroAddress } from "viem";
import { type NettedLine, net } from "#engine/composite/netting";
import type { Line } from "#engine/composite/receipt-shares";
import { apportion, sum } from "#schema/apportion";
import { invariant } from "#schema/errors";
import type { Carried, Duplicate, Gated, ReceiptScore, Reward, Standing } from "../blob/provenance.ts";
import { carryDivisor, carryIn, carryOut, poolsWithoutReceipts } from "./carry.ts";
import type { BatchFacts, Facts, ReceiptFacts } from "./facts.ts";
import { allocateReceipt, lineIdOf, type SharedReceipt, shareReceipt } from "./receipt.ts";
import { wad } from "./wad.ts";

/** What stood after the previous epoch. Both empty before the first. */
export type Balances = { carried: readonly Carried[]; rewards: readonly Reward[] };

/**
 * What one epoch decides, in wei. `receipts` by (batch, position). `duplicates`, `gated` and `standings` are the facts it
 * rests on that no log tells, each only where it says something.
 */
export type Allocation = {
  receipts: ReceiptScore[];
  duplicates: Duplicate[];
  gated: Gated[];
  standings: Standing[];
  carried: Carried[];
  rewards: Reward[];
};

/**
 * Allocate the pools of the batches, in log order, over what stood before: each receipt's data part is divided by its own
 * influences, then netted per owner over the epoch of its model; what is not paid is carried for that model.
 * Conserved to the wei: Σ pools = growth of Σ cumulative rewards + growth of Σ carried.
 */
export function allocateEpoch(batches: readonly BatchFacts[], before: Balances, facts: Facts): Allocation {
  const pooled = batches.flatMap((batch) => {
    const pools = spreadPool(batch.poolWei, batch.receipts);
    const carriedMax = spreadPool(batch.treasuryWei / carryDivisor, batch.receipts);
    return batch.receipts.map((receipt, i) => ({
      receipt,
      modelId: receipt.modelId,
      batchId: batch.batchId,
      poolWei: pools[i]!,
      carriedInWeiMax: carriedMax[i]!,
    }));
  });
  const { carriedInWei, left } = carryIn(pooled, before.carried);
  const shared = pooled.map(({ receipt, batchId, poolWei }, i) =>
    shareReceipt(receipt, { batchId, poolWei, carriedInWei: carriedInWei[i]! }, facts),
  );
  const standings = standingsOf(shared, facts);
  const netted = netLines(shared, standings, facts);
  const receipts = shared.map((one) =>
    allocateReceipt(
      one,
      ({ receiptDigest, recordId }) => netted.get(keyOf(receiptDigest, recordId)),
      facts.ownedAt?.(one.money.batchId) ?? facts,
    ),
  );
  const carried = carryOut(receipts, [...left, ...poolsWithoutReceipts(batches)]);
  const rewards = addRewards(before.rewards, receipts);
  const poolWei = sum(batches.map((batch) => batch.poolWei));
  invariant(
    poolWei + balanceWei(before) === balanceWei({ carried, rewards }),
    "an epoch loses or makes no wei",
  );
  const given = shared.map(({ receipt }) => receipt);
  const lists = { duplicates: duplicatesOf(given, facts), gated: gatedOf(given, facts), standings };
  return { receipts, ...lists, carried, rewards };
}

/** Wei of a batch over its receipts in proportion to fee, ties in order. Equal parts where every fee is zero. */
export function spreadPool(batchWei: bigint, receipts: readonly Pick<ReceiptFacts, "feeWei">[]): bigint[] {
  if (receipts.length === 0) return [];
  const fees = receipts.map(({ feeWei }) => feeWei);
  return apportion(batchWei, sum(fees) > 0n ? fees : fees.map(() => 1n));
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

function linesOf({ shares }: SharedReceipt): Line[] {
  return [...shares.passages, ...shares.records];
}

/** Every contributor with a line of the model, attenuated by the whole and by the Datanets of those lines. */
function standingsOf(shared: readonly SharedReceipt[], facts: Facts): Standing[] {
  const datanets = new Map<string, { modelId: Hex; account: Address; ids: Set<bigint> }>();
  for (const { receipt, passages, shares } of shared) {
    const lined = [
      ...(shares.passages.length > 0 ? passages : []),
      ...(shares.records.length > 0 ? receipt.records : []),
    ];
    for (const { chunkId } of lined) {
      const contribution = facts.contributionOf(chunkId);
      if (contribution === undefined) continue;
      const { contributor: account, datanetId } = contribution;
      const key = keyOf(receipt.modelId, account);
      const known = datanets.get(key) ?? { modelId: receipt.modelId, account, ids: new Set<bigint>() };
      datanets.set(key, { ...known, ids: known.ids.add(datanetId) });
    }
  }
  return [...datanets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { modelId, account, ids }]) => {
      const datanetIds = [...ids].sort((a, b) => (a < b ? -1 : 1));
      return { modelId, account, attenuationWad: facts.attenuationWad({ modelId, account, datanetIds }) };
    });
}

/** Lines by receipt and record, netted per owner within each model. A retracted record's harm counts, its help is not paid. */
function netLines(
  shared: readonly SharedReceipt[],
  standings: readonly Standing[],
  facts: Facts,
): Map<string, NettedLine> {
  const attenuation = new Map(
    standings.map(({ modelId, account, attenuationWad }) => [keyOf(modelId, account), attenuationWad]),
  );
  const netted = new Map<string, NettedLine>();
  for (const [modelId, ofModel] of Map.groupBy(shared, ({ receipt }) => receipt.modelId)) {
    const payable = new Set(ofModel.flatMap((one) => payableIds(one, facts)));
    const { pays } = net(ofModel.flatMap(linesOf), {
      passesGate: (recordId) => payable.has(recordId),
      attenuationWad: (owner) => attenuation.get(keyOf(modelId, owner)) ?? wad,
    });
    for (const line of pays.flatMap(({ lines }) => lines))
      netted.set(keyOf(line.receiptDigest, line.recordId), line);
  }
  return netted;
}

/** Ids of the lines that may be paid: their contribution is known and not retracted, a training record passed the gate. */
function payableIds({ receipt, passages }: SharedReceipt, facts: Facts): string[] {
  const isPayable = (chunkId: Hex) => facts.contributionOf(chunkId)?.isRetracted === false;
  const records = receipt.records.filter(({ chunkId }) => facts.passesGate(receipt.modelId, chunkId));
  return [
    ...passages.map(({ chunkId }) => ({ player: "context" as const, chunkId })),
    ...records.map(({ chunkId }) => ({ player: "adapter" as const, chunkId })),
  ].flatMap(({ player, chunkId }) => (isPayable(chunkId) ? [lineIdOf(player, chunkId)] : []));
}

function duplicatesOf(receipts: readonly ReceiptFacts[], facts: Facts): Duplicate[] {
  const named = receipts.flatMap(({ candidates, passages, records }) => [
    ...candidates.map(({ chunkId }) => chunkId),
    ...passages.keys(),
    ...records.map(({ chunkId }) => chunkId),
  ]);
  return [...new Set(named)].sort().flatMap((chunkId) => {
    const membership = facts.membershipOf(chunkId);
    return membership === undefined ? [] : [{ chunkId, ...membership }];
  });
}

function gatedOf(receipts: readonly ReceiptFacts[], facts: Facts): Gated[] {
  const gated = receipts.flatMap(({ modelId, records }) =>
    records
      .filter(({ chunkId }) => !facts.passesGate(modelId, chunkId))
      .map(({ chunkId }): [string, Gated] => [keyOf(modelId, chunkId), { modelId, chunkId }]),
  );
  return [...new Map(gated)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

function keyOf(a: string, b: string): string {
  return `${a} ${b}`;
}

function balanceWei({ carried, rewards }: Balances): bigint {
  return sum(carried.map((c) => c.amountWei)) + sum(rewards.map((r) => r.cumulativeWei));
}
