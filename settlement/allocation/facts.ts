import type { Address, Hex } from "viem";

/** What an allocation needs to know of the chain, as of the epoch's toBlock. Amounts in wei, shares in basis points. */

/** A settled batch in log order. `usage` is its ModelUsage events: which model's fees make up its pool. */
export type BatchFacts = {
  batchId: bigint;
  poolWei: bigint;
  usage: readonly { modelId: Hex; amountWei: bigint }[];
  /** In the order served; empty where the batch's blob was refused. */
  receipts: readonly ReceiptFacts[];
};

/** A receipt with its score. Candidates in rank order; `scoreWad` is the Shapley value, zero below the cut. */
export type ReceiptFacts = {
  receiptDigest: Hex;
  modelId: Hex;
  feeWei: bigint;
  valueFullWad: bigint;
  valueEmptyWad: bigint;
  dataShareWad: bigint;
  candidates: readonly CandidateFacts[];
};

/**
 * Stands for a receipt the engine could not score: values no score has, for with v(∅) = 0 the data share is zero.
 * Nobody earns, so its whole pool is carried.
 */
export const unscored = {
  valueFullWad: 0n,
  valueEmptyWad: 0n,
  dataShareWad: 10n ** 18n,
  candidates: [],
} as const satisfies Partial<ReceiptFacts>;

export type CandidateFacts = { chunkId: Hex; inContext: boolean; scoreWad: bigint };

/** A contribution that chunks belong to. `votes` are those for it, ascending by validator. */
export type ContributionFacts = {
  contributionBatchId: bigint;
  contributor: Address;
  isRetracted: boolean;
  datanetOwner: Address;
  ownerBps: number;
  validatorBps: number;
  votes: readonly { validator: Address; weight: bigint }[];
};

/** A model and its parents, ascending by id. A parent's depth is below its child's. */
export type ModelFacts = {
  modelId: Hex;
  owner: Address;
  ownerBps: number;
  depth: number;
  parents: readonly { modelId: Hex; weightBps: number }[];
};

export type Facts = {
  contributionOf: (chunkId: Hex) => ContributionFacts | undefined;
  modelOf: (modelId: Hex) => ModelFacts | undefined;
};
