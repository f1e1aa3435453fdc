import type { Address, Hex } from "viem";

/** What an allocation needs to know of the chain, as of the epoch's toBlock. Amounts in wei, shares in basis points. */

/** A settled batch in log order. `usage` is its ModelUsage events: which model's fees make up its pool. */
export type BatchFacts = {
  batchId: bigint;
  poolWei: bigint;
  /** What the batch paid to the treasury: bounds what its receipts are given of carried amounts. */
  treasuryWei: bigint;
  usage: readonly { modelId: Hex; amountWei: bigint }[];
  /** In the order served; empty where the batch is left out. */
  receipts: readonly ReceiptFacts[];
};

/** log p(answer) in wad of nats: of the model alone, with the passages, with the adapter, with both. */
export type ValueFacts = {
  valueBaseWad: bigint;
  valueContextWad: bigint;
  valueAdapterWad: bigint;
  valueBothWad: bigint;
  dataShareWad: bigint;
};

/** A receipt with its score. Candidates in rank order. */
export type ReceiptFacts = ValueFacts & {
  receiptDigest: Hex;
  modelId: Hex;
  feeWei: bigint;
  candidates: readonly CandidateFacts[];
  /** Influence of each class of duplicates in context, under its first chunk, scaled to what the context is worth. */
  passages: ReadonlyMap<Hex, bigint>;
  /** Training records listed for this answer, scaled to what the adapter is worth. None without an adapter. */
  records: readonly InfluenceFacts[];
  /** What of the adapter no record explains: its owner's. */
  unexplainedWad: bigint;
};

/**
 * Stands for a receipt the engine could not score: values no score has, for with v(base) = 0 the data share is zero.
 * Nobody earns, so its whole pool is carried.
 */
export const unscored = {
  valueBaseWad: 0n,
  valueContextWad: 0n,
  valueAdapterWad: 0n,
  valueBothWad: 0n,
  dataShareWad: 10n ** 18n,
  candidates: [],
  passages: new Map(),
  records: [],
  unexplainedWad: 0n,
} as const satisfies Partial<ReceiptFacts>;

export function isUnscored({ valueBaseWad, dataShareWad }: ValueFacts): boolean {
  return valueBaseWad === unscored.valueBaseWad && dataShareWad === unscored.dataShareWad;
}

export type CandidateFacts = { chunkId: Hex; inContext: boolean };

/** How much a chunk moved an answer, in wad of nats; negative where it harmed. */
export type InfluenceFacts = { chunkId: Hex; scoreWad: bigint };

/** A contribution that chunks belong to. `votes` are those for it, ascending by validator. */
export type ContributionFacts = {
  contributionBatchId: bigint;
  datanetId: bigint;
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

/** The class of duplicates of a chunk, by its first registered one, and the part of its text that is its own. */
export type MembershipFacts = { firstChunkId: Hex; noveltyWad: bigint };

export type Facts = {
  contributionOf: (chunkId: Hex) => ContributionFacts | undefined;
  modelOf: (modelId: Hex) => ModelFacts | undefined;
  /** Undefined where the chunk is the first of its class, and wholly its own. */
  membershipOf: (chunkId: Hex) => MembershipFacts | undefined;
  /** Whether a training record of the model may be paid: engine/composite/gate.ts. */
  passesGate: (modelId: Hex, chunkId: Hex) => boolean;
  /** Attenuation of a contributor by reputation: the lowest of the whole and of these Datanets. */
  attenuationWad: (given: { modelId: Hex; account: Address; datanetIds: readonly bigint[] }) => bigint;
  /** The same with the owners there were when a batch was settled; left out where none ever changed. */
  ownedAt?: (batchId: bigint) => Facts;
};
