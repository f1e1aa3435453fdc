import type { Bases, CurveBackend, MsmBackend } from "../curve/backend.ts";
import { symbolBytes } from "../curve/field.ts";
import { type G1, type G2, g1AffineBytes, g1Generator, g2Generator, negateG1 } from "../curve/points.ts";
import { EigenDaError, invariant } from "../errors.ts";
import type { SrsAnchor, SrsPoints } from "./srs.ts";

/** KZG commitment to a blob of coefficients c_i, with the proof of its length. */
export type BlobCommitment = {
  /** Σ c_i · [τ^i]_1. */
  commitment: G1;
  /** Σ c_i · [τ^i]_2. */
  lengthCommitment: G2;
  /** Σ c_i · [τ^(2^28 − length + i)]_2. */
  lengthProof: G2;
  /** Symbols; a power of two. */
  length: number;
};

/** Point lists prepared for one backend. */
type CommitmentBases = { g1: Bases<G1>; g2: Bases<G2> | null; g2Trailing: Bases<G2> | null };

function prepareBases(backend: MsmBackend, points: SrsPoints): CommitmentBases {
  return {
    g1: backend.basesG1(points.g1),
    g2: points.g2 && backend.basesG2(points.g2),
    g2Trailing: points.g2Trailing && backend.basesG2(points.g2Trailing),
  };
}

/**
 * All three multi-scalar multiplications of a dispersal, on this thread. `blob`: canonical symbols, a power of two of them.
 * @throws EigenDaError invalid as `checkLength`.
 */
export function commitBlob(backend: MsmBackend, points: SrsPoints, blob: Uint8Array): BlobCommitment {
  const length = checkLength(points, blob);
  const { g1, g2, g2Trailing } = prepareBases(backend, points);
  invariant(g2 !== null && g2Trailing !== null, "checked above");
  return {
    commitment: g1.msm(blob, 0),
    lengthCommitment: g2.msm(blob, 0),
    lengthProof: g2Trailing.msm(blob, g2Trailing.count - length),
    length,
  };
}

/**
 * The blob's symbols, if the SRS can commit to it in full.
 * @throws EigenDaError invalid if the SRS has no G2 points or is too short for the blob.
 */
export function checkLength(points: SrsPoints, blob: Uint8Array): number {
  const { g1, g2, g2Trailing } = points;
  const [length, max] = [blob.length / symbolBytes, g1.length / g1AffineBytes];
  if (g2 === null || g2Trailing === null)
    throw new EigenDaError("invalid", "This SRS has no G2 points: it can retrieve, not disperse.");
  if (length > max)
    throw new EigenDaError(
      "invalid",
      `The blob is longer than the SRS. Max: ${max} symbols. Given: ${length} symbols.`,
    );
  invariant(g2.length === 2 * g1.length && g2Trailing.length === g2.length, "the SRS lists have one length");
  return length;
}

/**
 * The two pairing equations that tie the G2 points to the commitment:
 * e(C, G2) = e(G1, LC), and e([τ^(2^28 − length)]_1, LC) = e(G1, LP), which bounds the polynomial's degree below `length`.
 * Points must be in their groups. Proves nothing under a forgeable SRS.
 */
export function isCommitmentConsistent(
  backend: CurveBackend,
  anchor: SrsAnchor,
  blob: BlobCommitment,
): boolean {
  const minusG1 = negateG1(g1Generator);
  return (
    backend.isPairingProductOne([
      { g1: blob.commitment, g2: g2Generator },
      { g1: minusG1, g2: blob.lengthCommitment },
    ]) &&
    backend.isPairingProductOne([
      { g1: anchor.g1Reverse(blob.length), g2: blob.lengthCommitment },
      { g1: minusG1, g2: blob.lengthProof },
    ])
  );
}
