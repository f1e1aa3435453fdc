import { status } from "@grpc/grpc-js";
import { bytesToHex } from "viem";
import { blobSymbolsMax } from "../codec/blob.ts";
import type { CurveBackend } from "../curve/backend.ts";
import { nextPowerOfTwo, nonCanonicalSymbol, symbolBytes } from "../curve/field.ts";
import type { DisperseBlobRequest } from "../gen/disperser_pb.ts";
import { anchorHash, chainIdHex, recoverSigner, signatureBytes } from "../header/signer.ts";
import { headerFromMessage, type RequestHeader } from "../header/wire.ts";
import type { CommitmentCheck } from "./commitment-check.ts";
import { quorumCount } from "./operators.ts";

/** How far a dispersal's timestamp may be from this server's clock, either way. */
const skewNsMax = 45n * 1_000_000_000n;

const knownBlobVersion = 0;
const knownDisperserId = 0;

export type AdmissionContext = {
  backend: CurveBackend;
  nowNs: bigint;
  chainId: bigint;
  acceptsOnDemand: boolean;
  commitments: CommitmentCheck;
};

export type Admission = { ok: true; header: RequestHeader } | { ok: false; code: status; reason: string };

/**
 * Whether a request is accepted, by the rules and in the order of Layr-Labs/eigenda disperser/apiserver/disperse_blob_v2.go.
 * Duplicates and payments are the caller's to check. Costs the blob's multi-scalar multiplication in G1 and two pairing products, after all that is cheaper.
 */
export async function admit(request: DisperseBlobRequest, context: AdmissionContext): Promise<Admission> {
  const { backend } = context;
  const sized = sizeFault(request);
  if (sized !== null) return invalid(sized);
  if (request.blobHeader === undefined) return invalid("blob header must contain commitments");
  const header = headerFromMessage(request.blobHeader);
  if (!header.ok) return invalid(header.reason);
  const wrongSymbol = nonCanonicalSymbol(request.blob);
  const fault =
    subgroupFault(backend, header.value) ??
    headerFault(header.value, request.blob.length / symbolBytes, context.acceptsOnDemand) ??
    clockFault(header.value.payment.timestampNs, context.nowNs) ??
    (wrongSymbol === null ? null : `symbol ${wrongSymbol} is not a canonical field element`) ??
    (await signatureFault(header.value, request.signature)) ??
    (await anchorFault(header.value, request, context.chainId));
  if (fault !== null) return invalid(fault);
  if (!(await context.commitments.isCommitmentTo(request.blob, header.value.commitment)))
    return invalid("invalid blob commitment");
  return { ok: true, header: header.value };
}

function subgroupFault(backend: CurveBackend, { commitment }: RequestHeader): string | null {
  if (!backend.isInSubgroupG2(commitment.lengthCommitment))
    return "length commitment is outside the subgroup";
  return backend.isInSubgroupG2(commitment.lengthProof) ? null : "length proof is outside the subgroup";
}

function sizeFault(request: DisperseBlobRequest): string | null {
  const { blob, signature } = request;
  if (signature.length !== signatureBytes)
    return `signature is expected to be 65 bytes, but got ${signature.length} bytes`;
  if (blob.length === 0) return "blob size must be greater than 0";
  if (blob.length % symbolBytes !== 0) return "blob is not a whole number of symbols";
  return nextPowerOfTwo(blob.length / symbolBytes) > blobSymbolsMax ? "blob size too big" : null;
}

function headerFault(header: RequestHeader, symbols: number, acceptsOnDemand: boolean): string | null {
  const { payment, commitment, quorumNumbers, version } = header;
  const length = nextPowerOfTwo(symbols);
  if (commitment.length !== length)
    return `commitment length ${commitment.length} is not the blob length ${length}`;
  if (payment.timestampNs < 0n || (payment.timestampNs === 0n && payment.cumulativePaymentWei === 0n))
    return "invalid payment metadata";
  if (payment.cumulativePaymentWei !== 0n && !acceptsOnDemand)
    return "on-demand payments are not supported by reserved-only mode disperser";
  if (quorumNumbers.length === 0) return "blob header must contain at least one quorum number";
  const unknown = quorumNumbers.find((quorum) => quorum >= quorumCount);
  if (unknown !== undefined) return `invalid quorum number ${unknown}; maximum is ${quorumCount - 1}`;
  if (new Set(quorumNumbers).size !== quorumNumbers.length) return "a quorum number is given twice";
  return version === knownBlobVersion ? null : `invalid blob version ${version}`;
}

function clockFault(timestampNs: bigint, nowNs: bigint): string | null {
  const times = `Server: ${nowNs} ns. Given: ${timestampNs} ns.`;
  if (nowNs - timestampNs > skewNsMax)
    return `potential clock drift detected: dispersal timestamp is too old. ${times}`;
  if (timestampNs - nowNs > skewNsMax)
    return `potential clock drift detected: dispersal timestamp is too far in the future. ${times}`;
  return null;
}

async function signatureFault(header: RequestHeader, signature: Uint8Array): Promise<string | null> {
  const signer = await recoverSigner(header.blobKey, signature);
  if (!signer.ok) return `authentication failed: ${signer.reason}`;
  return signer.value === header.payment.accountId
    ? null
    : "authentication failed: signature doesn't match account ID";
}

/** The anchor may be left out, as upstream tolerates for now; if given, all of it must be right. */
async function anchorFault(
  header: RequestHeader,
  request: DisperseBlobRequest,
  chainId: bigint,
): Promise<string | null> {
  const { anchorSignature, disperserId, chainId: givenChainId } = request;
  if (anchorSignature.length === 0) return null;
  if (disperserId !== knownDisperserId)
    return `anchor signature: disperser ID ${disperserId} is not ${knownDisperserId}`;
  if (bytesToHex(givenChainId) !== chainIdHex(chainId)) return `anchor signature: chain ID is not ${chainId}`;
  const signer = await recoverSigner(anchorHash(chainId, disperserId, header.blobKey), anchorSignature);
  if (!signer.ok) return `anchor signature: ${signer.reason}`;
  return signer.value === header.payment.accountId ? null : "anchor signature doesn't match account ID";
}

function invalid(reason: string): Admission {
  return { ok: false, code: status.INVALID_ARGUMENT, reason: `failed to validate request: ${reason}` };
}
