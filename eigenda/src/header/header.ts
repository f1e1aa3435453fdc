import { type Address, encodeAbiParameters, getAddress, type Hex, keccak256 } from "viem";
import type { G2 } from "../curve/points.ts";
import type { BlobCommitment } from "../kzg/commitment.ts";

/** Who pays, when it was asked, and how. */
export type PaymentHeader = {
  accountId: Address;
  /** Unix time in nanoseconds. */
  timestampNs: bigint;
  /** Wei paid by the account in total after this blob; 0 pays from a reservation. */
  cumulativePaymentWei: bigint;
};

/** The part of a blob header that stays in certificates: the payment is there as a hash only. */
export type BlobHeader = {
  version: number;
  quorumNumbers: readonly number[];
  commitment: BlobCommitment;
  paymentHeaderHash: Hex;
};

export const g1Abi = {
  type: "tuple",
  components: [
    { name: "x", type: "uint256" },
    { name: "y", type: "uint256" },
  ],
} as const;
export const g2Abi = {
  type: "tuple",
  components: [
    { name: "x", type: "uint256[2]" },
    { name: "y", type: "uint256[2]" },
  ],
} as const;

export const commitmentAbi = {
  type: "tuple",
  components: [
    { ...g1Abi, name: "commitment" },
    { ...g2Abi, name: "lengthCommitment" },
    { ...g2Abi, name: "lengthProof" },
    { name: "length", type: "uint32" },
  ],
} as const;

const paymentAbi = {
  type: "tuple",
  components: [
    { name: "accountId", type: "string" },
    { name: "timestamp", type: "int64" },
    { name: "cumulativePayment", type: "uint256" },
  ],
} as const;

/**
 * keccak256(abi.encode((string accountId, int64 timestamp, uint256 cumulativePayment))).
 * The account is hashed as its checksummed text: another spelling of the same address gives another hash.
 */
export function paymentHash(payment: PaymentHeader): Hex {
  const fields = {
    accountId: getAddress(payment.accountId),
    timestamp: payment.timestampNs,
    cumulativePayment: payment.cumulativePaymentWei,
  };
  return keccak256(encodeAbiParameters([paymentAbi], [fields]));
}

/**
 * keccak256(abi.encode(keccak256(abi.encode(uint16 version, bytes quorumsAscending, commitment)), paymentHeaderHash)).
 * Source: Layr-Labs/eigenda core/v2/serialization.go; the contracts compute the same.
 */
export function blobKey(header: BlobHeader): Hex {
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  const inner = keccak256(
    encodeAbiParameters(
      [{ type: "uint16" }, { type: "bytes" }, commitmentAbi],
      [
        header.version,
        quorumBytes(header.quorumNumbers),
        {
          commitment,
          lengthCommitment: g2Words(lengthCommitment),
          lengthProof: g2Words(lengthProof),
          length,
        },
      ],
    ),
  );
  return keccak256(
    encodeAbiParameters([{ type: "bytes32" }, { type: "bytes32" }], [inner, header.paymentHeaderHash]),
  );
}

/** keccak256(abi.encode(blobKey, signature, relayKeys)): what a batch's Merkle tree holds, hashed once more as its leaf. */
export function blobCertificateHash(key: Hex, signature: Hex, relayKeys: readonly number[]): Hex {
  return keccak256(
    encodeAbiParameters(
      [{ type: "bytes32" }, { type: "bytes" }, { type: "uint32[]" }],
      [key, signature, relayKeys],
    ),
  );
}

/** keccak256(abi.encode(bytes32 batchRoot, uint32 referenceBlockNumber)): what validators sign. */
export function batchHeaderHash(batchRoot: Hex, referenceBlockNumber: number): Hex {
  return keccak256(
    encodeAbiParameters([{ type: "bytes32" }, { type: "uint32" }], [batchRoot, referenceBlockNumber]),
  );
}

/** One byte a quorum, ascending: the order in which quorums are hashed whatever order they were sent in. */
export function quorumBytes(quorumNumbers: readonly number[]): Hex {
  const sorted = [...quorumNumbers].sort((a, b) => a - b);
  return `0x${Buffer.from(sorted).toString("hex")}`;
}

/** A G2 point's words as the contracts order them: c1 before c0. */
export function g2Words(point: G2): { x: [bigint, bigint]; y: [bigint, bigint] } {
  return { x: [point.x.c1, point.x.c0], y: [point.y.c1, point.y.c0] };
}
