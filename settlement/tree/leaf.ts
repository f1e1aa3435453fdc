import { type Address, type Hex, keccak256 } from "viem";
import * as words from "./words.ts";

/**
 * Leaves of the six trees of docs/formats.md. All but the receipt hash twice, which keeps a leaf from being read as
 * an inner node (second-preimage attack). Must equal the contracts; see vectors/leaf.json.
 * Integers outside their width are an invariant failure; hex is lowercase, addresses in any case.
 */

/** leaf(uint256 chainId, address distributor, address account, uint256 cumulativeWei): RewardDistributor.leafOf. */
export function reward(r: {
  chainId: bigint;
  distributor: Address;
  account: Address;
  cumulativeWei: bigint;
}): Hex {
  return words.leaf(
    words.uint(256, r.chainId),
    words.address(r.distributor),
    words.address(r.account),
    words.uint(256, r.cumulativeWei),
  );
}

/** One attribution entry; `index` counts from 0 within its receipt. Roles and reasons: settlement/blob/codes.ts. */
export type AttributionLeaf = {
  receiptDigest: Hex;
  index: number;
  role: number;
  subject: Hex;
  contributionBatchId: bigint;
  account: Address;
  scoreWad: bigint;
  amountWei: bigint;
  reason: number;
};

/**
 * leaf(bytes32 receiptDigest, uint32 index, uint8 role, bytes32 subject, uint64 contributionBatchId, address account,
 * int256 scoreWad, uint128 amountWei, uint8 reason).
 */
export function attribution(e: AttributionLeaf): Hex {
  return words.leaf(
    words.bytes32(e.receiptDigest),
    words.uint(32, e.index),
    words.uint(8, e.role),
    words.bytes32(e.subject),
    words.uint(64, e.contributionBatchId),
    words.address(e.account),
    words.int(256, e.scoreWad),
    words.uint(128, e.amountWei),
    words.uint(8, e.reason),
  );
}

/** leaf(uint32 index, bytes32 sourceHash, bytes32 textHash) of a contribution's chunk; hashes are keccak(utf8). */
export function chunk(c: { index: number; source: string; text: string }): Hex {
  return words.leaf(
    words.uint(32, c.index),
    words.bytes32(keccak256(Buffer.from(c.source, "utf8"))),
    words.bytes32(keccak256(Buffer.from(c.text, "utf8"))),
  );
}

/** leaf(uint32 rank, bytes32 chunkId, int64 scoreMicro, bool inContext) of a retrieved candidate; `rank` from 0. */
export function candidate(c: { rank: number; chunkId: Hex; scoreMicro: bigint; inContext: boolean }): Hex {
  return words.leaf(
    words.uint(32, c.rank),
    words.bytes32(c.chunkId),
    words.int(64, c.scoreMicro),
    words.bool(c.inContext),
  );
}

/** leaf(uint64 epoch, uint64 datanetId, bytes32 subject, uint32 receiptCount, uint128 amountWei) of a chunk's uses. */
export function usage(u: {
  epoch: bigint;
  datanetId: bigint;
  subject: Hex;
  receiptCount: number;
  amountWei: bigint;
}): Hex {
  return words.leaf(
    words.uint(64, u.epoch),
    words.uint(64, u.datanetId),
    words.bytes32(u.subject),
    words.uint(32, u.receiptCount),
    words.uint(128, u.amountWei),
  );
}

/** keccak(receiptDigest): the digest is a hash already. */
export function receipt(receiptDigest: Hex): Hex {
  return words.hash(words.bytes32(receiptDigest));
}
