import { bn254 } from "@noble/curves/bn254.js";
import mcl from "mcl-wasm";
import { invariant } from "../errors.ts";
import type { Bases, CurveBackend, PairingValue } from "./backend.ts";
import { bigintFromBytes, fpModulus, frModulus, symbolBytes, writeBigint } from "./field.ts";
import {
  type Fp2,
  type G1,
  type G2,
  g1AffineBytes,
  g1Infinity,
  g1ToAffineBytes,
  g2AffineBytes,
  g2Infinity,
  g2ToAffineBytes,
  isInfinityG1,
  isInfinityG2,
} from "./points.ts";

type MclG1 = InstanceType<typeof mcl.G1>;
type MclG2 = InstanceType<typeof mcl.G2>;
type MclFr = InstanceType<typeof mcl.Fr>;
type MclFp = InstanceType<typeof mcl.Fp>;
type MclFp2 = InstanceType<typeof mcl.Fp2>;
type MclGT = InstanceType<typeof mcl.GT>;

/** z, which BN254's moduli are polynomials of. */
export const curveSeed = 4965661367192848881n;

/** Points a single `mulVec` may take: it copies its input to the WebAssembly stack, which overflows above. */
const msmPointsMax = 2048;

let loading: Promise<CurveBackend> | null = null;

/** The WebAssembly backend; loaded once per thread, about 50 ms. */
export function loadMcl(): Promise<CurveBackend> {
  loading ??= mcl.init(mcl.BN_SNARK1).then(() => backend());
  return loading;
}

function backend(): CurveBackend {
  const [frobenius, seed] = [frobeniusConstants(), toFr(curveSeed)];
  return {
    name: "mcl",
    basesG1: (affine) => basesOf(affine, g1AffineBytes, readG1, fromG1, g1Infinity),
    basesG2: (affine) => basesOf(affine, g2AffineBytes, readG2, fromG2, g2Infinity),
    addG1: (a, b) => fromG1(mcl.add(toG1(a), toG1(b))),
    addG2: (a, b) => fromG2(mcl.add(toG2(a), toG2(b))),
    mulG1: (point, scalar) => fromG1(mcl.mul(toG1(point), toFr(scalar))),
    mulG2: (point, scalar) => fromG2(mcl.mul(toG2(point), toFr(scalar))),
    sumG1: (terms) =>
      fromG1(
        mcl.mulVec(
          terms.map(({ point }) => toG1(point)),
          terms.map(({ scalar }) => toFr(scalar)),
        ),
      ),
    isInSubgroupG2: (point) => isInfinityG2(point) || isInSubgroup(toG2(point), frobenius, seed),
    isPairingProductOne(pairs) {
      const finite = pairs.filter(({ g1, g2 }) => !isInfinityG1(g1) && !isInfinityG2(g2));
      return finite.length === 0 || mcl.finalExp(millerLoops(finite)).isOne();
    },
    pairingProduct: (pairs) => new MclValue(mcl.finalExp(millerLoops(pairs))),
  };
}

/** ξ^((p − 1) / 3) and ξ^((p − 1) / 2) for ξ = 9 + i: what x and y are multiplied with in `frobeniusOf`. */
type FrobeniusConstants = { x: MclFp2; y: MclFp2 };

function frobeniusConstants(): FrobeniusConstants {
  const { Fp2 } = bn254.fields;
  const power = (exponent: bigint) => {
    const { c0, c1 } = Fp2.pow(Fp2.fromBigTuple([9n, 1n]), exponent);
    return toFp2({ c0, c1 });
  };
  return { x: power((fpModulus - 1n) / 3n), y: power((fpModulus - 1n) / 2n) };
}

/** ψ, the twist's endomorphism that comes from the Frobenius map: coordinates conjugated, times the constants. */
function frobeniusOf(point: MclG2, constants: FrobeniusConstants): MclG2 {
  const affine = mcl.normalize(point);
  const image = new mcl.G2();
  image.setX(mcl.mul(conjugate(affine.getX()), constants.x));
  image.setY(mcl.mul(conjugate(affine.getY()), constants.y));
  image.setZ(affine.getZ());
  return image;
}

/**
 * Whether [z + 1]Q + ψ([z]Q) + ψ²([z]Q) = ψ³([2z]Q), z being the curve's seed, which holds in the subgroup alone: a quarter of a multiplication by the
 * order. Source: Housni, Guillevic, Piellard 2022, "Co-factor clearing and subgroup membership testing", §3.1. Not at infinity.
 */
function isInSubgroup(point: MclG2, constants: FrobeniusConstants, seed: MclFr): boolean {
  // mcl may split a scalar along the endomorphism, which is right in the subgroup alone; one as short as the seed it does not split (curve.test.ts).
  const multiple = mcl.mul(point, seed);
  if (multiple.isZero()) return false;
  const once = frobeniusOf(multiple, constants);
  const twice = frobeniusOf(once, constants);
  const thrice = frobeniusOf(twice, constants);
  const sum = mcl.add(mcl.add(point, multiple), mcl.add(once, twice));
  return sum.isEqual(mcl.dbl(thrice));
}

/** Π of the Miller loops, two at a time: two share their squarings. No point may be at infinity. */
function millerLoops(pairs: readonly { g1: G1; g2: G2 }[]): MclGT {
  const loops: MclGT[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const [a, b] = [pairs[index]!, pairs[index + 1]];
    if (b === undefined) {
      loops.push(mcl.millerLoop(toG1(a.g1), toG2(a.g2)));
      continue;
    }
    const lines = new mcl.PrecomputedG2(toG2(b.g2));
    loops.push(mcl.precomputedMillerLoop2mixed(toG1(a.g1), toG2(a.g2), toG1(b.g1), lines));
    lines.destroy();
  }
  return loops.reduce((product, loop) => mcl.mul(product, loop));
}

class MclValue implements PairingValue {
  readonly #value: MclGT;

  constructor(value: MclGT) {
    this.#value = value;
  }

  times(other: PairingValue): PairingValue {
    invariant(other instanceof MclValue, "both values are mcl's");
    return new MclValue(mcl.mul(this.#value, other.#value));
  }

  inverse(): PairingValue {
    return new MclValue(mcl.inv(this.#value));
  }

  key(): string {
    return Buffer.from(this.#value.serialize()).toString("latin1");
  }
}

function basesOf<M extends MclG1 | MclG2, P>(
  affine: Uint8Array,
  pointBytes: number,
  read: (bytes: Uint8Array) => M,
  from: (point: M) => P,
  infinity: P,
): Bases<P> {
  const points: M[] = [];
  const pointAt = (index: number) => {
    points[index] ??= read(affine.subarray(index * pointBytes, (index + 1) * pointBytes));
    return points[index];
  };
  const count = affine.length / pointBytes;
  return {
    count,
    msm(scalars, offset) {
      const total = scalars.length / symbolBytes;
      invariant(offset + total <= count, "every scalar has a point");
      let sum: M | null = null;
      for (let start = 0; start < total; start += msmPointsMax) {
        const indexes = Array.from(
          { length: Math.min(msmPointsMax, total - start) },
          (_, index) => start + index,
        );
        const part = mcl.mulVec(
          indexes.map((index) => pointAt(offset + index)),
          indexes.map((index) => frAt(scalars, index)),
        );
        sum = sum === null ? part : mcl.add(sum, part);
      }
      return sum === null ? infinity : from(sum);
    },
  };
}

function frAt(scalars: Uint8Array, index: number): MclFr {
  const scalar = new mcl.Fr();
  scalar.deserialize(littleEndian(scalars, index * symbolBytes));
  return scalar;
}

function toFr(value: bigint): MclFr {
  const bytes = new Uint8Array(symbolBytes);
  writeBigint(bytes, 0, ((value % frModulus) + frModulus) % frModulus);
  return frAt(bytes, 0);
}

function fpAt(bytes: Uint8Array, offset: number): MclFp {
  const value = new mcl.Fp();
  value.deserialize(littleEndian(bytes, offset));
  return value;
}

function toFp2({ c0, c1 }: Fp2): MclFp2 {
  const bytes = new Uint8Array(2 * symbolBytes);
  writeBigint(bytes, 0, c1);
  writeBigint(bytes, symbolBytes, c0);
  return fp2At(bytes, 0);
}

function conjugate(value: MclFp2): MclFp2 {
  const conjugated = new mcl.Fp2();
  conjugated.set_a(value.get_a());
  conjugated.set_b(mcl.neg(value.get_b()));
  return conjugated;
}

function fp2At(bytes: Uint8Array, offset: number): MclFp2 {
  const value = new mcl.Fp2();
  value.set_a(fpAt(bytes, offset + 32));
  value.set_b(fpAt(bytes, offset));
  return value;
}

/** mcl reads and writes field elements least significant byte first. */
function littleEndian(bytes: Uint8Array, offset: number): Uint8Array {
  return Uint8Array.from(bytes.subarray(offset, offset + symbolBytes)).reverse();
}

function readG1(bytes: Uint8Array): MclG1 {
  const point = new mcl.G1();
  const x = fpAt(bytes, 0);
  const y = fpAt(bytes, 32);
  if (x.isZero() && y.isZero()) return point;
  const one = new mcl.Fp();
  one.setInt(1);
  point.setX(x);
  point.setY(y);
  point.setZ(one);
  return point;
}

function readG2(bytes: Uint8Array): MclG2 {
  const point = new mcl.G2();
  const x = fp2At(bytes, 0);
  const y = fp2At(bytes, 64);
  if (x.isZero() && y.isZero()) return point;
  const one = new mcl.Fp2();
  one.setInt(1, 0);
  point.setX(x);
  point.setY(y);
  point.setZ(one);
  return point;
}

function toG1(point: G1): MclG1 {
  return readG1(g1ToAffineBytes(point));
}

function toG2(point: G2): MclG2 {
  return readG2(g2ToAffineBytes(point));
}

function fromFp(value: MclFp): bigint {
  return bigintFromBytes(value.serialize().reverse());
}

function fromG1(point: MclG1): G1 {
  if (point.isZero()) return g1Infinity;
  const affine = mcl.normalize(point);
  return { x: fromFp(affine.getX()), y: fromFp(affine.getY()) };
}

function fromG2(point: MclG2): G2 {
  if (point.isZero()) return g2Infinity;
  const affine = mcl.normalize(point);
  const [x, y] = [affine.getX(), affine.getY()];
  return {
    x: { c0: fromFp(x.get_a()), c1: fromFp(x.get_b()) },
    y: { c0: fromFp(y.get_a()), c1: fromFp(y.get_b()) },
  };
}
