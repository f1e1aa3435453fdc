import { pippenger } from "@noble/curves/abstract/curve.js";
import { bn254 } from "@noble/curves/bn254.js";
import { invariant } from "../errors.ts";
import type { Bases, CurveBackend, PairingValue } from "./backend.ts";
import { frModulus, readSymbols } from "./field.ts";
import {
  type G1,
  type G2,
  g1AffineBytes,
  g1FromAffineBytes,
  g1Infinity,
  g2AffineBytes,
  g2FromAffineBytes,
  g2Infinity,
  isInfinityG1,
  isInfinityG2,
} from "./points.ts";

const PointG1 = bn254.G1.Point;
const PointG2 = bn254.G2.Point;
const { Fp12 } = bn254.fields;
type Fp12Value = typeof Fp12.ONE;
type NobleValue = PairingValue & { value: Fp12Value };
type PointOfG1 = InstanceType<typeof PointG1>;
type PointOfG2 = InstanceType<typeof PointG2>;

/** Pure JavaScript backend on @noble/curves: about five times slower than mcl. */
export const nobleBackend: CurveBackend = {
  name: "noble",
  basesG1: (affine) =>
    basesOf(
      affine,
      g1AffineBytes,
      readG1,
      (points, scalars) => fromG1(pippenger(PointG1, points, scalars)),
      g1Infinity,
    ),
  basesG2: (affine) =>
    basesOf(
      affine,
      g2AffineBytes,
      readG2,
      (points, scalars) => fromG2(pippenger(PointG2, points, scalars)),
      g2Infinity,
    ),
  addG1: (a, b) => fromG1(toG1(a).add(toG1(b))),
  addG2: (a, b) => fromG2(toG2(a).add(toG2(b))),
  mulG1: (point, scalar) => fromG1(toG1(point).multiplyUnsafe(reduce(scalar))),
  mulG2: (point, scalar) => fromG2(toG2(point).multiplyUnsafe(reduce(scalar))),
  sumG1: (terms) =>
    fromG1(
      terms.reduce(
        (sum, { point, scalar }) => sum.add(toG1(point).multiplyUnsafe(reduce(scalar))),
        PointG1.ZERO,
      ),
    ),
  isInSubgroupG2: (point) =>
    toG2(point)
      .multiplyUnsafe(frModulus - 1n)
      .equals(toG2(point).negate()),
  isPairingProductOne(pairs) {
    const finite = pairs.filter(({ g1, g2 }) => !isInfinityG1(g1) && !isInfinityG2(g2));
    if (finite.length === 0) return true;
    const product = bn254.pairingBatch(finite.map(({ g1, g2 }) => ({ g1: toG1(g1), g2: toG2(g2) })));
    return Fp12.eql(product, Fp12.ONE);
  },
  pairingProduct: (pairs) =>
    toValue(bn254.pairingBatch(pairs.map(({ g1, g2 }) => ({ g1: toG1(g1), g2: toG2(g2) })))),
};

function basesOf<Point, P>(
  affine: Uint8Array,
  pointBytes: number,
  read: (bytes: Uint8Array) => Point,
  sum: (points: Point[], scalars: bigint[]) => P,
  infinity: P,
): Bases<P> {
  const points: Point[] = [];
  const pointAt = (index: number) => {
    points[index] ??= read(affine.subarray(index * pointBytes, (index + 1) * pointBytes));
    return points[index];
  };
  return {
    count: affine.length / pointBytes,
    msm(scalars, offset) {
      const symbols = readSymbols(scalars);
      invariant(symbols.ok, "scalars are below the group order");
      if (symbols.value.length === 0) return infinity;
      return sum(
        symbols.value.map((_, index) => pointAt(offset + index)),
        symbols.value,
      );
    },
  };
}

function toValue(value: Fp12Value): NobleValue {
  return {
    value,
    times: (other) => toValue(Fp12.mul(value, (other as NobleValue).value)),
    inverse: () => toValue(Fp12.inv(value)),
    key: () => Buffer.from(Fp12.toBytes(value)).toString("latin1"),
  };
}

function reduce(scalar: bigint): bigint {
  return ((scalar % frModulus) + frModulus) % frModulus;
}

function toG1(point: G1): PointOfG1 {
  return isInfinityG1(point) ? PointG1.ZERO : PointG1.fromAffine(point);
}

function toG2(point: G2): PointOfG2 {
  if (isInfinityG2(point)) return PointG2.ZERO;
  const { Fp2 } = bn254.fields;
  return PointG2.fromAffine({ x: Fp2.create(point.x), y: Fp2.create(point.y) });
}

function fromG1(point: PointOfG1): G1 {
  if (point.is0()) return g1Infinity;
  const { x, y } = point.toAffine();
  return { x, y };
}

function fromG2(point: PointOfG2): G2 {
  if (point.is0()) return g2Infinity;
  const { x, y } = point.toAffine();
  return { x: { c0: x.c0, c1: x.c1 }, y: { c0: y.c0, c1: y.c1 } };
}

function readG1(bytes: Uint8Array): PointOfG1 {
  return toG1(g1FromAffineBytes(bytes));
}

function readG2(bytes: Uint8Array): PointOfG2 {
  return toG2(g2FromAffineBytes(bytes));
}
