import { type Address, encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import * as leaf from "../tree/leaf.ts";
import { codec } from "./codec.ts";
import * as payload from "./payload.ts";

/**
 * Kind 3, version 3: everything one epoch decided. Blocks: (fromBlock, toBlock]. Receipts by (batchId, position in the
 * batch). What the allocation took from elsewhere than the chain stands here too, so that it can be recomputed:
 * left-out batches, blobs that could not be had, duplicates, records the gate shut out, attenuations by reputation.
 */
export type Provenance = {
  epoch: bigint;
  methodHash: Hex;
  /** What shaped the scores, as text, its hash's preimage: tolerance and execution profile stand in it. Empty for no hash. */
  method: string;
  fromBlock: bigint;
  toBlock: bigint;
  receiptsRoots: readonly Hex[];
  leftOut: readonly LeftOut[];
  unavailable: readonly Unavailable[];
  receipts: readonly ReceiptScore[];
  duplicates: readonly Duplicate[];
  gated: readonly Gated[];
  standings: readonly Standing[];
  carried: readonly Carried[];
  rewards: readonly Reward[];
};

/** A final batch of the range without receipts in the epoch, and why: a code of engine/README.md. Ascending by batch. */
export type LeftOut = { batchId: bigint; code: string };

/** Codes that say a blob could not be had: the poster's judgement, which whoever reads it later adopts. */
export const availabilityCodes: readonly string[] = ["da_unavailable", "da_mismatch"];

/**
 * A blob that the poster could not have, with the code of its refusal; ascending by subject, as text. `contribution:<id>`:
 * accepted in (fromBlock, toBlock], none of its chunks count, here and in every later epoch. `training:<model>`: receipts
 * of the model that stand here unscored are so because what it was trained on could not be had.
 */
export type Unavailable = { subject: string; code: string };

/** Files of an adapter too large for its payload may be missing too. */
const trainingCodes: readonly string[] = [...availabilityCodes, "adapter_unavailable"];

/** Whether a refusal of the engine is such a judgement. */
export function isUnavailable({ subject, code }: Unavailable): boolean {
  if (/^contribution:(0|[1-9][0-9]{0,19})$/.test(subject)) return availabilityCodes.includes(code);
  return /^training:0x[0-9a-f]{64}$/.test(subject) && trainingCodes.includes(code);
}

/**
 * One receipt: its money in wei, its values in wad of nats, and who gets what. Σ amountWei = poolWei + carriedInWei.
 * Values are log p(answer) of the model alone, with the passages, with the adapter, with both; without an adapter
 * `adapter` is `base` and `both` is `context`.
 */
export type ReceiptScore = {
  receiptDigest: Hex;
  batchId: bigint;
  modelId: Hex;
  poolWei: bigint;
  carriedInWei: bigint;
  valueBaseWad: bigint;
  valueContextWad: bigint;
  valueAdapterWad: bigint;
  valueBothWad: bigint;
  dataShareWad: bigint;
  entries: readonly Entry[];
};

/**
 * A chunk named by a receipt that is not wholly its own: its class is that of `firstChunkId`, and of its text the part
 * `noveltyWad` stands in no earlier record. Ascending by chunk.
 */
export type Duplicate = { chunkId: Hex; firstChunkId: Hex; noveltyWad: bigint };

/** A training record named by a receipt of the model that did not pass the gate. Ascending by model, then chunk. */
export type Gated = { modelId: Hex; chunkId: Hex };

/** Attenuation by reputation of a contributor whose records moved the model's answers. Ascending by model, then account. */
export type Standing = { modelId: Hex; account: Address; attenuationWad: bigint };

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

/** Most training records of one receipt that become entries: those that helped most, and those that harmed most. */
export const recordsHelpedMax = 16;
export const recordsHarmedMax = 16;

/** Entries of a chunk that is paid: contributor, owner, validators; and of what is netted, attenuated or not novel. */
const lineEntriesMax = 2 + validatorsPaidMax + 3;

/**
 * Most entries one receipt can need: its candidates, those of each passage (whose first registrant may be another chunk),
 * those of its training records, models and rest of both.
 */
export function receiptEntriesMax(receipt: {
  candidates: readonly { inContext: boolean }[];
  hasAdapter: boolean;
}): number {
  const { candidates, hasAdapter } = receipt;
  const inContext = candidates.filter((candidate) => candidate.inContext).length;
  const records = hasAdapter ? recordsHelpedMax * lineEntriesMax + recordsHarmedMax + 2 : 0;
  return candidates.length + inContext * lineEntriesMax + records + modelsPaidMax + 2;
}

/** Cumulative wei of an account over all epochs; ascending by account. */
export type Reward = { account: Address; cumulativeWei: bigint };

export function encode(provenance: Provenance): Uint8Array {
  return payload.encode("provenance", body, provenance);
}

/** Shape only: roots and sums are compared by who holds the chain event. */
export function decode(bytes: Uint8Array): Decoded<Provenance> {
  const decoded = payload.decode("provenance", body, bytes);
  if (!decoded.ok) return decoded;
  const { unavailable } = decoded.value;
  const wrong = unavailable.find(
    (one, index) => !isUnavailable(one) || (index > 0 && one.subject <= unavailable[index - 1]!.subject),
  );
  if (wrong === undefined) return decoded;
  return {
    ok: false,
    reason: `unavailable ${wrong.subject} ${wrong.code} is none, or not in ascending order`,
  };
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
    "struct Body { uint64 epoch; bytes32 methodHash; string method; uint64 fromBlock; uint64 toBlock; bytes32[] receiptsRoots; LeftOut[] leftOut; Unavailable[] unavailable; ReceiptScore[] receipts; Duplicate[] duplicates; Gated[] gated; Standing[] standings; Carried[] carried; Reward[] rewards; }",
    "struct LeftOut { uint64 batchId; string code; }",
    "struct Unavailable { string subject; string code; }",
    "struct ReceiptScore { bytes32 receiptDigest; uint64 batchId; bytes32 modelId; uint128 poolWei; uint128 carriedInWei; int256 valueBaseWad; int256 valueContextWad; int256 valueAdapterWad; int256 valueBothWad; uint256 dataShareWad; Entry[] entries; }",
    "struct Entry { uint8 role; bytes32 subject; uint64 contributionBatchId; address account; int256 scoreWad; uint128 amountWei; uint8 reason; }",
    "struct Duplicate { bytes32 chunkId; bytes32 firstChunkId; uint64 noveltyWad; }",
    "struct Gated { bytes32 modelId; bytes32 chunkId; }",
    "struct Standing { bytes32 modelId; address account; uint64 attenuationWad; }",
    "struct Carried { bytes32 modelId; uint128 amountWei; }",
    "struct Reward { address account; uint128 cumulativeWei; }",
  ]),
);
