import { randomBytes } from "node:crypto";
import { type Address, type Hex, hexToBytes, type PublicClient } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { hashToG1, isSignatureValid } from "../curve/bls.ts";
import { bigintFromBytes } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import {
  type G1,
  type G2,
  g1Generator,
  g2Generator,
  isEqualG1,
  isInfinityG1,
  isInfinityG2,
} from "../curve/points.ts";
import { batchHeaderHash, blobCertificateHash, blobKey } from "../header/header.ts";
import { recoverSigner } from "../header/signer.ts";
import { isCommitmentConsistent } from "../kzg/commitment.ts";
import { provableSymbolsMax, type SrsAnchor } from "../kzg/srs.ts";
import { type Certificate, decodeCertificate, nonSignersMax, quorumsMax } from "./certificate.ts";
import { onChainFault } from "./contracts.ts";
import { rootFromProof } from "./merkle.ts";
import { type SignerKeyState, signerKeyState } from "./signer-key.ts";

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
  | {
      ok: true;
      level: VerificationLevel;
      blobKey: Hex;
      signer: Address;
      certificate: Certificate;
      /**
       * Whether the signers' key was found to be the quorums' keys less the non-signers'. False at level `structure`, and at `inclusion+signature`
       * where there are too many non-signers to tell without the registry (more than 24 in two quorums).
       */
      isSignerKeyProven: boolean;
    }
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

/** The one off-chain derivation version there is. */
const knownDerivationVersion = 0;

const requiredQuorumsDefault: readonly number[] = [0, 1];

/**
 * Verifies canonical certificate bytes. Some 20 CPU ms at the full levels; never throws for what the bytes hold.
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
  const signer = await recoverSigner(key, hexToBytes(certificate.signature));
  if (!signer.ok) return signer;
  const passed = { ok: true, blobKey: key, signer: signer.value, certificate } as const;
  if (options.level === "structure") return { ...passed, level: options.level, isSignerKeyProven: false };
  const consistency = checkConsistency(backend, certificate, { key, ...options });
  if (consistency.fault !== null) return { ok: false, reason: consistency.fault };
  let { isSignerKeyProven } = consistency;
  if (options.level === "onChain") {
    const refused = await onChainFault(options.client, options.router, certificate);
    if (refused !== null) return { ok: false, reason: refused };
    // The registry knows who belongs to which quorum.
    isSignerKeyProven = true;
  }
  return { ...passed, level: options.level, isSignerKeyProven };
}

/**
 * What level `inclusion+signature` proves beyond the structure, which must have been checked, and the signer: the batch holds the blob `key` with its
 * signature, every quorum signed, and the pairing equations hold. `srs` is null where the commitment is the caller's own.
 */
function checkConsistency(
  backend: CurveBackend,
  certificate: Certificate,
  { key, srs, requiredQuorums }: { key: Hex; srs: SrsAnchor | null; requiredQuorums?: readonly number[] },
): { fault: string | null; isSignerKeyProven: boolean } {
  const fault =
    quorumFault(certificate, requiredQuorums ?? requiredQuorumsDefault) ??
    inclusionFault(certificate, key) ??
    degenerateKeyFault(certificate);
  if (fault !== null) return { fault, isSignerKeyProven: false };
  if (holdsAtOnce(backend, certificate, srs)) return { fault: null, isSignerKeyProven: true };
  const attestation = checkAttestation(backend, certificate);
  return {
    fault: attestation.fault ?? (srs && commitmentFault(backend, certificate, srs)),
    isSignerKeyProven: attestation.signerKey === "consistent",
  };
}

/** What level `structure` proves, the signer aside. */
export function structureFault(backend: CurveBackend, certificate: Certificate): string | null {
  const { lengthCommitment, lengthProof } = certificate.header.commitment;
  return (
    limitsFault(certificate) ?? subgroupFault(backend, [lengthCommitment, lengthProof, certificate.apkG2])
  );
}

/**
 * Level `inclusion+signature` for who asked for the blob, of the bytes that he will keep: the header and the signature in them must be those he sent. His own
 * commitment is not proven to him again.
 */
export function ownCertificateFault(
  backend: CurveBackend,
  bytes: Uint8Array,
  options: { key: Hex; requiredQuorums: readonly number[] },
): string | null {
  const decoded = decodeCertificate(bytes);
  if (!decoded.ok) return decoded.reason;
  const certificate = decoded.value;
  return (
    limitsFault(certificate) ??
    subgroupFault(backend, [certificate.apkG2]) ??
    checkConsistency(backend, certificate, { ...options, srs: null }).fault
  );
}

function limitsFault(certificate: Certificate): string | null {
  const { length } = certificate.header.commitment;
  const { quorumApks, signedQuorumNumbers, nonSignerPubkeys, header } = certificate;
  if (certificate.offchainDerivationVersion !== knownDerivationVersion)
    return "The derivation version is unknown.";
  if (header.quorumNumbers.length === 0) return "The blob names no quorum.";
  if (length > provableSymbolsMax) return `The blob is longer than ${provableSymbolsMax} symbols.`;
  if (signedQuorumNumbers.length > quorumsMax) return `More than ${quorumsMax} quorums signed.`;
  if (quorumApks.length !== signedQuorumNumbers.length)
    return "There is not one aggregate key for each quorum.";
  if (nonSignerPubkeys.length > nonSignersMax) return `There are more than ${nonSignersMax} non-signers.`;
  return null;
}

function subgroupFault(backend: CurveBackend, points: readonly G2[]): string | null {
  return points.every((point) => backend.isInSubgroupG2(point))
    ? null
    : "A G2 point is outside the subgroup.";
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

/**
 * All four pairing equations in one product of four pairings, each raised to a random power of 128 bits, so that a wrong one passes with chance 2^-128: the batch's
 * signature, the signers' key if every non-signer belongs to every quorum, and both of the commitment (neither if `srs` is null). Half the time of one after the other.
 * False says only that they do not all hold: then one after the other tells which. Points in G2 must be in their subgroup, and no key degenerate.
 */
function holdsAtOnce(backend: CurveBackend, certificate: Certificate, srs: SrsAnchor | null): boolean {
  const { quorumApks, nonSignerPubkeys, apkG2, sigma, header } = certificate;
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  const times = (point: G1, scalar: bigint) => ({ point, scalar });
  const message = hexToBytes(batchHeaderHash(certificate.batchRoot, certificate.referenceBlockNumber));
  const random = () => bigintFromBytes(randomBytes(16));
  const [a, b, c, d] = [random(), random(), random(), random()];
  const nonSignerTimes = b * BigInt(quorumApks.length);
  // To the power a: e(σ, G2) = e(H, apk); b: e(apk in G1, G2) = e(G1, apk); c: e(C, G2) = e(G1, LC); d: e([τ^…]_1, LC) = e(G1, LP).
  const underGenerator = [
    times(sigma, -a),
    ...quorumApks.map((key) => times(key, -b)),
    ...nonSignerPubkeys.map((key) => times(key, nonSignerTimes)),
  ];
  const signature = {
    g1: backend.sumG1([times(hashToG1(message), a), times(g1Generator, b)]),
    g2: apkG2,
  };
  if (srs === null)
    return backend.isPairingProductOne([{ g1: backend.sumG1(underGenerator), g2: g2Generator }, signature]);
  return backend.isPairingProductOne([
    { g1: backend.sumG1([...underGenerator, times(commitment, c)]), g2: g2Generator },
    signature,
    { g1: backend.sumG1([times(g1Generator, -c), times(srs.g1Reverse(length), d)]), g2: lengthCommitment },
    { g1: backend.mulG1(g1Generator, -d), g2: lengthProof },
  ]);
}

/** The batch's signature, and whose it is. `undetermined` is no fault: see `signerKeyState`. */
export function checkAttestation(
  backend: CurveBackend,
  certificate: Certificate,
): { fault: string | null; signerKey: SignerKeyState } {
  const refuse = (fault: string) => ({ fault, signerKey: "inconsistent" }) as const;
  const degenerate = degenerateKeyFault(certificate);
  if (degenerate !== null) return refuse(degenerate);
  const message = hexToBytes(batchHeaderHash(certificate.batchRoot, certificate.referenceBlockNumber));
  if (!isSignatureValid(backend, message, certificate.sigma, certificate.apkG2))
    return refuse("The aggregate signature does not sign the batch.");
  const signerKey = signerKeyState(backend, certificate);
  return signerKey === "inconsistent"
    ? refuse("The signers' key is not the quorums' keys less the non-signers'.")
    : { fault: null, signerKey };
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

export function commitmentFault(
  backend: CurveBackend,
  certificate: Certificate,
  srs: SrsAnchor,
): string | null {
  return isCommitmentConsistent(backend, srs, certificate.header.commitment)
    ? null
    : `The commitment's length is not proven under the ${srs.name}.`;
}
