import type { G1, G2 } from "../curve/points.ts";

/** Powers of τ in the ceremony: proofs of length are made against the last of them, whatever part a client holds. */
export const srsOrder = 2 ** 28;

/** Longest length, in symbols, whose proof can be checked: an anchor knows no end point above it. */
export const provableSymbolsMax = 2 ** 27;

/** Point lists in affine form (see curve/points.ts), shareable between threads. */
export type SrsPoints = {
  /** [τ^i]_1 for i in [0, symbolsMax). */
  g1: Uint8Array;
  /** [τ^i]_2 for i in [0, symbolsMax); null if only retrieval is wanted. */
  g2: Uint8Array | null;
  /** [τ^(2^28 − symbolsMax + i)]_2; null if only retrieval is wanted. */
  g2Trailing: Uint8Array | null;
};

/** What a verifier needs of a structured reference string: no point list, only where proofs of length end. */
export type SrsAnchor = {
  name: string;
  /** Whether τ is known to anybody, so that proofs under it prove nothing. Refused outside loopback. */
  isForgeable: boolean;
  /** [τ^(2^28 − length)]_1 for a length that is a power of two up to `provableSymbolsMax`. */
  g1Reverse(length: number): G1;
  /** [τ^(2^k)]_2 for k = 0..27: what lists of points are checked against. */
  g2Power(k: number): G2;
};

/** A structured reference string large enough for blobs of `symbolsMax` symbols. */
export type Srs = SrsAnchor & { symbolsMax: number; points: SrsPoints };
