import { create } from "@bufbuild/protobuf";
import { type Address, getAddress, type Hex, hexToBytes, isAddress, numberToHex } from "viem";
import { bigintFromBytes, isPowerOfTwo } from "../curve/field.ts";
import { compressG1, compressG2, decompressG1, decompressG2 } from "../curve/points.ts";
import type { Decoded } from "../errors.ts";
import { type BlobHeader as BlobHeaderMessage, BlobHeaderSchema } from "../gen/blob_header_pb.ts";
import { type BlobCommitment as BlobCommitmentMessage, BlobCommitmentSchema } from "../gen/commitment_pb.ts";
import type { BlobCommitment } from "../kzg/commitment.ts";
import { type BlobHeader, blobKey, type PaymentHeader, paymentHash } from "./header.ts";

/** Quorum numbers are single bytes in every hash. */
export const quorumNumberMax = 255;

/** A header as it travels, with the payment in full. */
export type RequestHeader = BlobHeader & { payment: PaymentHeader; blobKey: Hex };

/** A header for a blob about to be sent, with the key it will have. */
export function requestHeader(fields: {
  version: number;
  quorumNumbers: readonly number[];
  commitment: BlobCommitment;
  payment: PaymentHeader;
}): RequestHeader {
  const header = { ...fields, paymentHeaderHash: paymentHash(fields.payment) };
  return { ...header, blobKey: blobKey(header) };
}

export function headerToMessage(header: RequestHeader): BlobHeaderMessage {
  const { accountId, timestampNs, cumulativePaymentWei } = header.payment;
  return create(BlobHeaderSchema, {
    version: header.version,
    quorumNumbers: [...header.quorumNumbers],
    commitment: commitmentToMessage(header.commitment),
    paymentHeader: {
      accountId,
      timestamp: timestampNs,
      cumulativePayment:
        cumulativePaymentWei === 0n ? new Uint8Array() : hexToBytes(numberToHex(cumulativePaymentWei)),
    },
  });
}

/** Reads a header sent by the other side. Points are on their curves; those in G2 are not checked to be in the subgroup. */
export function headerFromMessage(message: BlobHeaderMessage): Decoded<RequestHeader> {
  const { paymentHeader, quorumNumbers } = message;
  if (message.commitment === undefined) return refuse("blob header must contain a commitment");
  const commitment = commitmentFromMessage(message.commitment);
  if (!commitment.ok) return commitment;
  if (paymentHeader === undefined) return refuse("payment metadata is required");
  const account = readAccount(paymentHeader.accountId);
  if (account === null) return refuse("account ID is not an address");
  if (quorumNumbers.some((quorum) => quorum > quorumNumberMax)) return refuse("a quorum number is above 255");
  const payment = {
    accountId: account,
    timestampNs: paymentHeader.timestamp,
    cumulativePaymentWei: bigintFromBytes(paymentHeader.cumulativePayment),
  };
  if (payment.cumulativePaymentWei >= 1n << 256n) return refuse("cumulative payment is above 2^256");
  if (message.version > 0xffff) return refuse("blob version is above 65535");
  const { version } = message;
  return {
    ok: true,
    value: requestHeader({ version, quorumNumbers, commitment: commitment.value, payment }),
  };
}

function commitmentToMessage(commitment: BlobCommitment): BlobCommitmentMessage {
  return create(BlobCommitmentSchema, {
    commitment: compressG1(commitment.commitment),
    lengthCommitment: compressG2(commitment.lengthCommitment),
    lengthProof: compressG2(commitment.lengthProof),
    length: commitment.length,
  });
}

function commitmentFromMessage(message: BlobCommitmentMessage): Decoded<BlobCommitment> {
  if (!isPowerOfTwo(message.length)) return refuse("invalid commitment length, must be a power of 2");
  const commitment = decompressG1(message.commitment);
  if (!commitment.ok) return refuse(`commitment: ${commitment.reason}`);
  const lengthCommitment = decompressG2(message.lengthCommitment);
  if (!lengthCommitment.ok) return refuse(`length commitment: ${lengthCommitment.reason}`);
  const lengthProof = decompressG2(message.lengthProof);
  if (!lengthProof.ok) return refuse(`length proof: ${lengthProof.reason}`);
  return {
    ok: true,
    value: {
      commitment: commitment.value,
      lengthCommitment: lengthCommitment.value,
      lengthProof: lengthProof.value,
      length: message.length,
    },
  };
}

/** Any spelling of an address is accepted, as the server does; the checksummed one is hashed. */
function readAccount(text: string): Address | null {
  return isAddress(text, { strict: false }) ? getAddress(text) : null;
}

function refuse(reason: string): { ok: false; reason: string } {
  return { ok: false, reason };
}
