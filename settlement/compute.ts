import { bytesToHex, type Hex } from "viem";
import type { Reputations } from "#engine/reputation/history";
import { proposeSlashings } from "#engine/reputation/penalty";
import { sum } from "#schema/apportion";
import { invariant } from "#schema/errors";
import type {
  carried,
  entry,
  epochRun,
  leftOut,
  reputation,
  reward,
  slashProposal,
  standing,
  unavailable,
} from "#schema/offchain/50-settlement";
import { allocateEpoch, type Balances } from "./allocation/epoch.ts";
import type { BatchFacts, Facts } from "./allocation/facts.ts";
import * as payload from "./blob/payload.ts";
import * as provenance from "./blob/provenance.ts";
import * as tree from "./tree/tree.ts";

/** What the previous epoch left: standing amounts, the accumulator and the running sums. Amounts in wei. */
export type Before = Balances & { receiptsAccumulator: Hex; feesWei: bigint; splitsWei: bigint };

export const beforeFirst: Before = {
  carried: [],
  rewards: [],
  receiptsAccumulator: tree.zeroRoot,
  feesWei: 0n,
  splitsWei: 0n,
};

export type EpochInput = {
  epochId: bigint;
  methodHash: Hex;
  /** Preimage of `methodHash`. */
  method: string;
  fromBlock: bigint;
  toBlock: bigint;
  /** Settlements of (fromBlock, toBlock] in log order. */
  settled: readonly { receiptsRoot: Hex; total: bigint; poolShare: bigint }[];
  batches: readonly BatchFacts[];
  /** Final batches of the range that have no receipts here, ascending. */
  leftOut: readonly provenance.LeftOut[];
  /** What the engine could not have of what the epoch rests on, ascending. */
  unavailable: readonly provenance.Unavailable[];
  facts: Facts;
  reputations: Pick<Reputations, "rows" | "violations">;
  before: Before;
  scope: { chainId: bigint; distributor: Hex };
};

/** Every row of an epoch, ready for one transaction. */
export type Computed = {
  run: typeof epochRun.$inferInsert;
  entries: (typeof entry.$inferInsert)[];
  rewards: (typeof reward.$inferInsert)[];
  carried: (typeof carried.$inferInsert)[];
  standings: (typeof standing.$inferInsert)[];
  leftOut: (typeof leftOut.$inferInsert)[];
  unavailable: (typeof unavailable.$inferInsert)[];
  reputations: (typeof reputation.$inferInsert)[];
  slashProposals: (typeof slashProposal.$inferInsert)[];
};

/** Allocate, build both trees, encode the provenance payload. Same input, same bytes. */
export function computeEpoch(input: EpochInput): Computed {
  const { epochId, before, settled, fromBlock, toBlock, methodHash } = input;
  const allocation = allocateEpoch(input.batches, before, input.facts);
  const receiptsRoots = settled.map(({ receiptsRoot }) => receiptsRoot);
  const encoded = provenance.encode({
    epoch: epochId,
    methodHash,
    method: input.method,
    fromBlock,
    toBlock,
    receiptsRoots,
    leftOut: input.leftOut,
    unavailable: input.unavailable,
    ...allocation,
  });
  const attributionLeaves = provenance.attributionLeaves(allocation.receipts);
  const rewardLeaves = provenance.rewardLeaves(input.scope, allocation.rewards);
  const run = {
    epochId,
    state: "computed" as const,
    methodHash,
    fromBlock,
    toBlock,
    receiptsAccumulator: provenance.receiptsAccumulator(before.receiptsAccumulator, receiptsRoots),
    rewardRoot: tree.rootOf(rewardLeaves),
    attributionRoot: tree.rootOf(attributionLeaves),
    rootTotalWei: sum(allocation.rewards.map(({ cumulativeWei }) => cumulativeWei)),
    feesWei: before.feesWei + sum(settled.map(({ total }) => total)),
    splitsWei: before.splitsWei + sum(settled.map(({ total, poolShare }) => total - poolShare)),
    carriedWei: sum(allocation.carried.map(({ amountWei }) => amountWei)),
    payload: bytesToHex(encoded),
    contentHash: payload.contentHash(encoded),
  };
  invariant(
    run.feesWei === run.splitsWei + run.rootTotalWei + run.carriedWei,
    "fees = splits + leaves + carried",
  );
  return {
    run,
    entries: entryRows(epochId, allocation.receipts, attributionLeaves),
    rewards: allocation.rewards.map((r, i) => ({ epochId, ...r, leaf: rewardLeaves[i]! })),
    carried: allocation.carried.map((c) => ({ epochId, ...c })),
    standings: allocation.standings.map((s) => ({ epochId, ...s })),
    leftOut: input.leftOut.map((one) => ({ epochId, ...one })),
    unavailable: input.unavailable.map((one) => ({ epochId, ...one })),
    reputations: reputationRows(input),
    slashProposals: proposeSlashings(input.reputations.violations, Number(epochId)).map(
      ({ account, datanetId, ...proposal }) => ({
        epochId,
        account: account as Hex,
        datanetId: BigInt(datanetId),
        ...proposal,
      }),
    ),
  };
}

function reputationRows({ epochId, reputations }: EpochInput) {
  const micro = (value: number) => BigInt(Math.round(value * 1e6));
  return reputations.rows().map(({ good, bad, peerPrediction, account, ...row }) => ({
    epochId,
    account: account as Hex,
    goodMicro: micro(good),
    badMicro: micro(bad),
    peerPredictionMicro: peerPrediction === null ? null : micro(peerPrediction),
    ...row,
  }));
}

function entryRows(epochId: bigint, receipts: readonly provenance.ReceiptScore[], leaves: readonly Hex[]) {
  const rows = receipts.flatMap(({ receiptDigest, entries }) =>
    entries.map(({ contributionBatchId, ...e }, index) => ({
      epochId,
      receiptDigest,
      index,
      contributionId: contributionBatchId,
      ...e,
    })),
  );
  return rows.map((row, i) => ({ ...row, leaf: leaves[i]! }));
}
