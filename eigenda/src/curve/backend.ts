import type { G1, G2 } from "./points.ts";

/** A list of points prepared for multi-scalar multiplication. */
export type Bases<P> = {
  count: number;
  /** Σ scalars_i · points_(offset+i). `scalars`: 32 big-endian bytes each, below the group order; may be empty. */
  msm(scalars: Uint8Array, offset: number): P;
};

/** Multi-scalar multiplication over lists of points, which must be on their curves. */
export type MsmBackend = {
  name: "kernel" | "mcl" | "noble";
  /** `affine`: 64 bytes x ‖ y a point. Points are parsed when first used and kept. */
  basesG1(affine: Uint8Array): Bases<G1>;
  /** `affine`: 128 bytes x.c1 ‖ x.c0 ‖ y.c1 ‖ y.c0 a point. */
  basesG2(affine: Uint8Array): Bases<G2>;
};

/**
 * BN254 arithmetic behind one interface. Points passed in must be on the curve.
 * `mcl` (WebAssembly) does the pairings; `noble` (pure JavaScript) is the independent check. Commitments are our kernel's, which
 * both check.
 */
export type CurveBackend = MsmBackend & {
  addG1(a: G1, b: G1): G1;
  addG2(a: G2, b: G2): G2;
  /** `scalar` is reduced modulo the group order. */
  mulG1(point: G1, scalar: bigint): G1;
  mulG2(point: G2, scalar: bigint): G2;
  /** Σ scalar_i · point_i for a few points. */
  sumG1(terms: readonly { point: G1; scalar: bigint }[]): G1;
  isInSubgroupG2(point: G2): boolean;
  /** Whether Π e(g1_i, g2_i) = 1. */
  isPairingProductOne(pairs: readonly { g1: G1; g2: G2 }[]): boolean;
  /** Π e(g1_i, g2_i), to calculate with. No point may be at infinity. */
  pairingProduct(pairs: readonly { g1: G1; g2: G2 }[]): PairingValue;
};

/** An element of the group that pairings lead to, written multiplicatively. Only values of one backend may meet. */
export type PairingValue = {
  times(other: PairingValue): PairingValue;
  inverse(): PairingValue;
  /** Equal for equal elements alone. */
  key(): string;
};
