import { type Address, type Hex, hexToBytes, type PublicClient } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { isSameKey, isSignatureValid } from "../curve/bls.ts";
import { loadMcl } from "../curve/mcl.ts";
import { type G1, g1Infinity, isEqualG1, isInfinityG1, isInfinityG2, negateG1 } from "../curve/points.ts";
import { batchHeaderHash, blobCertificateHash, blobKey } from "../header/header.ts";
import { recoverSigner } from "../header/signer.ts";
import { isCommitmentConsistent } from "../kzg/commitment.ts";
import { provableSymbolsMax, type SrsAnchor } from "../kzg/srs.ts";
import { type Certificate, decodeCertificate } from "./certificate.ts";
import { onChainFault } from "./contracts.ts";
import { rootFromProof } from "./merkle.ts";

/**
 * What a passed check proves.
 * - `structure`: the bytes are one canonical certificate, and `signer` asked for this blob.
 * - `inclusion+signature`: also, the blob is in the batch, the attestation's keys signed the batch, every quorum of the blob signed,
 *   and the commitment's length holds. The keys come from the disperser: this is self-consistency, not stake.
 * - `onChain`: also, the contracts' `checkDACert` accepts it: registered stake above the threshold stands behind the keys, as the
 *   given node says.
 */
export type VerificationLevel = "structure" | "inclusion+signature" | "onChain";

export type Verdict =
  | { ok: true; level: VerificationLevel; blobKey: Hex; signer: Address; certificate: Certificate }
  | { ok: false; reason: string };

export type VerifyOptions =
  | { level: "structure" }
  | { level: "inclusion+signature"; srs: SrsAnchor; requiredQuorums?: readonly number[] }
  | {
      level: "onChain";
      srs: SrsAnchor;
      requiredQuorums?: readonly number[];
      /** A node of the L1. */
      client: PublicClient;
      /** EigenDACertVerifierRouter. */
      router: Address;
    };

/** Limits of the contracts. */
const quorumsMax = 5;
const nonSignersMax = 415;

/** The one off-chain derivation version there is. */
const knownDerivationVersion = 0;

/** Ways of distributing the non-signers over the quorums that are tried; which is true stands in the registry only. */
const distributionsMax = 64;

const requiredQuorumsDefault: readonly number[] = [0, 1];

/**
 * Verifies canonical certificate bytes. Some 30 CPU ms at the full levels; never throws for what the bytes hold.
 * @throws EigenDaError notReady or failover, at level `onChain` alone, where the chain gives no answer.
 */
export async function verifyCertificate(bytes: Uint8Array, options: VerifyOptions): Promise<Verdict> {
  const decoded = decodeCertificate(bytes);
  if (!decoded.ok) return decoded;
  const certificate = decoded.value;
  const backend = await loadMcl();
  const structural = structureFault(backend, certificate);
  if (structural !== null) return { ok: false, reason: structural };
  const key = blobKey(certificate.header);
  const signer = recoverSigner(key, hexToBytes(certificate.signature));
  if (!signer.ok) return signer;
  if (options.level !== "structure") {
    const required = options.requiredQuorums ?? requiredQuorumsDefault;
    const fault =
      quorumFault(certificate, required) ??
      inclusionFault(certificate, key) ??
      attestationFault(backend, certificate) ??
      commitmentFault(backend, certificate, options.srs);
    if (fault !== null) return { ok: false, reason: fault };
  }
  if (options.level === "onChain") {
    const fault = await onChainFault(options.client, options.router, certificate);
    if (fault !== null) return { ok: false, reason: fault };
  }
  return { ok: true, level: options.level, blobKey: key, signer: signer.value, certificate };
}

export function structureFault(backend: CurveBackend, certificate: Certificate): string | null {
  const { lengthCommitment, lengthProof, length } = certificate.header.commitment;
  const { quorumApks, signedQuorumNumbers, nonSignerPubkeys, header } = certificate;
  if (certificate.offchainDerivationVersion !== knownDerivationVersion)
    return "The derivation version is unknown.";
  if (header.quorumNumbers.length === 0) return "The blob names no quorum.";
  if (length > provableSymbolsMax) return `The blob is longer than ${provableSymbolsMax} symbols.`;
  if (signedQuorumNumbers.length > quorumsMax) return `More than ${quorumsMax} quorums signed.`;
  if (quorumApks.length !== signedQuorumNumbers.length)
    return "There is not one aggregate key for each quorum.";
  if (nonSignerPubkeys.length > nonSignersMax) return `There are more than ${nonSignersMax} non-signers.`;
  const outside = [lengthCommitment, lengthProof, certificate.apkG2].some(
    (point) => !backend.isInSubgroupG2(point),
  );
  return outside ? "A G2 point is outside the subgroup." : null;
}

function quorumFault(certificate: Certificate, required: readonly number[]): string | null {
  const { quorumNumbers } = certificate.header;
  const missing = required.find((quorum) => !quorumNumbers.includes(quorum));
  if (missing !== undefined) return `The blob was not sent to the required quorum ${missing}.`;
  const unsigned = quorumNumbers.find((quorum) => !certificate.signedQuorumNumbers.includes(quorum));
  return unsigned === undefined ? null : `Quorum ${unsigned} did not sign.`;
}

export function inclusionFault(certificate: Certificate, key: Hex): string | null {
  const hash = blobCertificateHash(key, certificate.signature, certificate.relayKeys);
  const root = rootFromProof(hash, certificate.blobIndex, certificate.inclusionProof);
  return root === certificate.batchRoot ? null : "The inclusion proof does not lead to the batch root.";
}

export function attestationFault(backend: CurveBackend, certificate: Certificate): string | null {
  const degenerate = degenerateKeyFault(certificate);
  if (degenerate !== null) return degenerate;
  const message = hexToBytes(batchHeaderHash(certificate.batchRoot, certificate.referenceBlockNumber));
  if (!isSignatureValid(backend, message, certificate.sigma, certificate.apkG2)) {
    return "The aggregate signature does not sign the batch.";
  }
  return isSignerKeyConsistent(backend, certificate)
    ? null
    : "The signers' key is not the quorums' keys less the non-signers'.";
}

/** Infinity is nobody's key and signs every message under itself; a non-signer taken away twice takes somebody else's key with it. */
function degenerateKeyFault({ sigma, apkG2, quorumApks, nonSignerPubkeys }: Certificate): string | null {
  if (isInfinityG1(sigma)) return "The aggregate signature is the point at infinity.";
  if (isInfinityG2(apkG2)) return "The signers' key is the point at infinity.";
  if (quorumApks.some(isInfinityG1)) return "A quorum's key is the point at infinity.";
  if (nonSignerPubkeys.some(isInfinityG1)) return "A non-signer's key is the point at infinity.";
  const isRepeated = nonSignerPubkeys.some((key, index) =>
    nonSignerPubkeys.slice(0, index).some((earlier) => isEqualG1(earlier, key)),
  );
  return isRepeated ? "A non-signer is named twice." : null;
}

/**
 * apkG1 = Σ quorum keys − Σ non-signer keys, each as often as the quorums it belongs to. That number is not in the
 * certificate, so all distributions are tried; if there are too many, only the one that has each in every quorum.
 */
function isSignerKeyConsistent(backend: CurveBackend, certificate: Certificate): boolean {
  const { quorumApks, nonSignerPubkeys, apkG2 } = certificate;
  const total = quorumApks.reduce((sum, key) => backend.addG1(sum, key), g1Infinity);
  const ways = quorumApks.length ** nonSignerPubkeys.length;
  const count = ways > distributionsMax ? 1 : ways;
  for (let distribution = 0; distribution < count; distribution++) {
    const absent = sumOfAbsent(backend, nonSignerPubkeys, quorumApks.length, distribution);
    if (isSameKey(backend, backend.addG1(total, negateG1(absent)), apkG2)) return true;
  }
  return false;
}

/** Digits of `distribution` in base `quorums` tell how many quorums each non-signer is spared. */
function sumOfAbsent(backend: CurveBackend, keys: readonly G1[], quorums: number, distribution: number): G1 {
  let rest = distribution;
  let sum = g1Infinity;
  for (const key of keys) {
    sum = backend.addG1(sum, backend.mulG1(key, BigInt(quorums - (rest % quorums))));
    rest = Math.floor(rest / quorums);
  }
  return sum;
}

export function commitmentFault(
  backend: CurveBackend,
  certificate: Certificate,
  srs: SrsAnchor,
): string | null {
  return isCommitmentConsistent(backend, srs, certificate.header.commitment)
    ? null
    : `The commitment's length is not proven under the ${srs.name}.`;
}
