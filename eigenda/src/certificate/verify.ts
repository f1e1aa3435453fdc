import { randomBytes } from "node:crypto";
import { type Address, type Hex, hexToBytes, type PublicClient } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { hashToG1, isSignatureValid } from "../curve/bls.ts";
import { bigintFromBytes } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import {
  type G1,
  g1Generator,
  g1Infinity,
  g2Generator,
  isEqualG1,
  isInfinityG1,
  isInfinityG2,
} from "../curve/points.ts";
import { batchHeaderHash, blobCertificateHash, blobKey } from "../header/header.ts";
import { recoverSigner } from "../header/signer.ts";
import { isCommitmentConsistent } from "../kzg/commitment.ts";
import { provableSymbolsMax, type SrsAnchor } from "../kzg/srs.ts";
import { type Certificate, decodeCertificate } from "./certificate.ts";
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

/** Limits of the contracts. */
const quorumsMax = 5;
const nonSignersMax = 415;

/** The one off-chain derivation version there is. */
const knownDerivationVersion = 0;

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
  const passed = { ok: true, blobKey: key, signer: signer.value, certificate } as const;
  if (options.level === "structure") return { ...passed, level: options.level, isSignerKeyProven: false };
  const fault =
    quorumFault(certificate, options.requiredQuorums ?? requiredQuorumsDefault) ??
    inclusionFault(certificate, key) ??
    degenerateKeyFault(certificate);
  if (fault !== null) return { ok: false, reason: fault };
  let isSignerKeyProven = holdsAtOnce(backend, certificate, options.srs);
  if (!isSignerKeyProven) {
    const attestation = checkAttestation(backend, certificate);
    const wrong = attestation.fault ?? commitmentFault(backend, certificate, options.srs);
    if (wrong !== null) return { ok: false, reason: wrong };
    isSignerKeyProven = attestation.signerKey === "consistent";
  }
  if (options.level === "onChain") {
    const refused = await onChainFault(options.client, options.router, certificate);
    if (refused !== null) return { ok: false, reason: refused };
    // The registry knows who belongs to which quorum.
    isSignerKeyProven = true;
  }
  return { ...passed, level: options.level, isSignerKeyProven };
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

/**
 * All four pairing equations in one product of four pairings, each raised to a random power of 128 bits, so that a wrong one passes with chance 2^-128: the batch's
 * signature, the signers' key if every non-signer belongs to every quorum, and both of the commitment. Half the time of one after the other. False says only that they
 * do not all hold: then one after the other tells which. Points in G2 must be in their subgroup, and no key degenerate.
 */
function holdsAtOnce(backend: CurveBackend, certificate: Certificate, srs: SrsAnchor): boolean {
  const { quorumApks, nonSignerPubkeys, apkG2, sigma, header } = certificate;
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  const sum = (points: readonly G1[]) =>
    points.reduce((total, point) => backend.addG1(total, point), g1Infinity);
  const times = (point: G1, scalar: bigint) => backend.mulG1(point, scalar);
  const less = times(sum(nonSignerPubkeys), BigInt(-quorumApks.length));
  const signers = sum([...quorumApks, less]);
  const message = hexToBytes(batchHeaderHash(certificate.batchRoot, certificate.referenceBlockNumber));
  const random = () => bigintFromBytes(randomBytes(16));
  const [a, b, c, d] = [random(), random(), random(), random()];
  return backend.isPairingProductOne([
    // To the power a: e(σ, G2) = e(H, apk); b: e(apk in G1, G2) = e(G1, apk); c: e(C, G2) = e(G1, LC); d: e([τ^…]_1, LC) = e(G1, LP).
    { g1: sum([times(sigma, -a), times(signers, -b), times(commitment, c)]), g2: g2Generator },
    { g1: sum([times(hashToG1(message), a), times(g1Generator, b)]), g2: apkG2 },
    { g1: sum([times(g1Generator, -c), times(srs.g1Reverse(length), d)]), g2: lengthCommitment },
    { g1: times(g1Generator, -d), g2: lengthProof },
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
