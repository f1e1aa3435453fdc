import { type Address, encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import * as leaf from "../tree/leaf.ts";
import { codec } from "./codec.ts";
import * as payload from "./payload.ts";

/** Kind 3: everything one epoch decided. Blocks: (fromBlock, toBlock]. Receipts by (batchId, position in the batch). */
export type Provenance = {
  epoch: bigint;
  methodHash: Hex;
  fromBlock: bigint;
  toBlock: bigint;
  receiptsRoots: readonly Hex[];
  receipts: readonly ReceiptScore[];
  carried: readonly Carried[];
  rewards: readonly Reward[];
};

/** One receipt: its money in wei, its values in wad of nats, and who gets what. Σ amountWei = poolWei + carriedInWei. */
export type ReceiptScore = {
  receiptDigest: Hex;
  batchId: bigint;
  modelId: Hex;
  poolWei: bigint;
  carriedInWei: bigint;
  valueFullWad: bigint;
  valueEmptyWad: bigint;
  dataShareWad: bigint;
  entries: readonly Entry[];
};

/** Roles and reasons: codes.ts. `account` is zero where nobody is eligible. */
export type Entry = {
  role: number;
  subject: Hex;
  contributionBatchId: bigint;
  account: Address;
  scoreWad: bigint;
  amountWei: bigint;
  reason: number;
};

/** Amount in wei that waits for the model's next receipts, after this epoch; ascending by model, none of zero. */
export type Carried = { modelId: Hex; amountWei: bigint };

/** Most validators paid for one chunk: the heaviest votes. Most models paid for one receipt: the nearest of its lineage. */
export const validatorsPaidMax = 8;
export const modelsPaidMax = 32;

/** Most entries one receipt can need: its candidates, owner, validators and rest of those in context, models and rest. */
export function receiptEntriesMax({ candidates }: { candidates: readonly { inContext: boolean }[] }): number {
  const inContext = candidates.filter((candidate) => candidate.inContext).length;
  return candidates.length + inContext * (validatorsPaidMax + 2) + modelsPaidMax + 2;
}

/** Cumulative wei of an account over all epochs; ascending by account. */
export type Reward = { account: Address; cumulativeWei: bigint };

export function encode(provenance: Provenance): Uint8Array {
  return payload.encode("provenance", body, provenance);
}

/** Shape only: roots and sums are compared by who holds the chain event. */
export function decode(bytes: Uint8Array): Decoded<Provenance> {
  return payload.decode("provenance", body, bytes);
}

/** Leaves of the attribution tree, receipt after receipt, entries in order. */
export function attributionLeaves(receipts: readonly ReceiptScore[]): Hex[] {
  return receipts.flatMap(({ receiptDigest, entries }) =>
    entries.map((entry, index) => leaf.attribution({ receiptDigest, index, ...entry })),
  );
}

/** Leaves of the reward tree: what the distributor of this chain pays against. */
export function rewardLeaves(
  scope: { chainId: bigint; distributor: Address },
  rewards: readonly Reward[],
): Hex[] {
  return rewards.map((reward) => leaf.reward({ ...scope, ...reward }));
}

/** aᵢ = keccak(abi(aᵢ₋₁, receiptsRootᵢ)) over the batches in log order; `previous` is zero before the first epoch. */
export function receiptsAccumulator(previous: Hex, receiptsRoots: readonly Hex[]): Hex {
  return receiptsRoots.reduce((a, root) => keccak256(encodeAbiParameters(twoWords, [a, root])), previous);
}

const twoWords = parseAbiParameters("bytes32, bytes32");
const body = codec(
  parseAbiParameters([
    "Body body",
    "struct Body { uint64 epoch; bytes32 methodHash; uint64 fromBlock; uint64 toBlock; bytes32[] receiptsRoots; ReceiptScore[] receipts; Carried[] carried; Reward[] rewards; }",
    "struct ReceiptScore { bytes32 receiptDigest; uint64 batchId; bytes32 modelId; uint128 poolWei; uint128 carriedInWei; int256 valueFullWad; int256 valueEmptyWad; uint256 dataShareWad; Entry[] entries; }",
    "struct Entry { uint8 role; bytes32 subject; uint64 contributionBatchId; address account; int256 scoreWad; uint128 amountWei; uint8 reason; }",
    "struct Carried { bytes32 modelId; uint128 amountWei; }",
    "struct Reward { address account; uint128 cumulativeWei; }",
  ]),
);
