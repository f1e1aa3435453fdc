import { bn254 } from "@noble/curves/bn254.js";
import type { Decoded } from "../errors.ts";
import { type Roots, threadRoots } from "../kernel/roots.ts";
import { bigintFromBytes, fpModulus, writeBigint } from "./field.ts";

/** Affine point of G1. (0, 0) is the point at infinity, as in EIP-196. */
export type G1 = { x: bigint; y: bigint };
export type Fp2 = { c0: bigint; c1: bigint };
/** Affine point of G2. All zero is the point at infinity, as in EIP-197. */
export type G2 = { x: Fp2; y: Fp2 };

export const g1AffineBytes = 64;
export const g2AffineBytes = 128;
export const g1CompressedBytes = 32;
export const g2CompressedBytes = 64;

const { Fp, Fp2: Fp2Field } = bn254.fields;

const half = Fp.inv(2n);

export const g1Infinity: G1 = { x: 0n, y: 0n };
export const g2Infinity: G2 = { x: { c0: 0n, c1: 0n }, y: { c0: 0n, c1: 0n } };
export const g1Generator: G1 = { x: 1n, y: 2n };
export const g2Generator: G2 = generatorOfG2();

/** Coefficient of G2's curve y² = x³ + 3 / (9 + u). */
const twistB = Fp2Field.div({ c0: 3n, c1: 0n }, { c0: 9n, c1: 1n });

/** The top two bits of a compressed point. */
const flags = { mask: 0xc0, smaller: 0x80, larger: 0xc0, infinity: 0x40 };

export function isInfinityG1(point: G1): boolean {
  return point.x === 0n && point.y === 0n;
}

export function isInfinityG2(point: G2): boolean {
  return point.x.c0 === 0n && point.x.c1 === 0n && point.y.c0 === 0n && point.y.c1 === 0n;
}

export function isEqualG1(a: G1, b: G1): boolean {
  return a.x === b.x && a.y === b.y;
}

export function isEqualG2(a: G2, b: G2): boolean {
  return a.x.c0 === b.x.c0 && a.x.c1 === b.x.c1 && a.y.c0 === b.y.c0 && a.y.c1 === b.y.c1;
}

export function negateG1(point: G1): G1 {
  return isInfinityG1(point) ? point : { x: point.x, y: fpModulus - point.y };
}

/** Whether the coordinates are canonical and on the curve (or infinity). G1 has no cofactor, so this is membership. */
export function isOnCurveG1(point: G1): boolean {
  if (isInfinityG1(point)) return true;
  return point.x < fpModulus && point.y < fpModulus && Fp.sqr(point.y) === rightSideG1(point.x);
}

/** Whether the coordinates are canonical and on the twist (or infinity). Does not check the subgroup. */
export function isOnCurveG2(point: G2): boolean {
  if (isInfinityG2(point)) return true;
  const coordinates = [point.x.c0, point.x.c1, point.y.c0, point.y.c1];
  if (coordinates.some((coordinate) => coordinate >= fpModulus)) return false;
  return Fp2Field.eql(Fp2Field.sqr(point.y), rightSideG2(point.x));
}

/** gnark's form: 32 big-endian bytes of x, the top two bits telling which y. */
export function compressG1(point: G1): Uint8Array {
  const bytes = new Uint8Array(g1CompressedBytes);
  if (isInfinityG1(point)) return flagged(bytes, flags.infinity);
  writeBigint(bytes, 0, point.x);
  return flagged(bytes, isLarger(point.y) ? flags.larger : flags.smaller);
}

/** gnark's form: x.c1 ‖ x.c0, the top two bits telling which y; y.c1 decides unless it is zero. */
export function compressG2(point: G2): Uint8Array {
  const bytes = new Uint8Array(g2CompressedBytes);
  if (isInfinityG2(point)) return flagged(bytes, flags.infinity);
  writeBigint(bytes, 0, point.x.c1);
  writeBigint(bytes, 32, point.x.c0);
  return flagged(bytes, isLargerFp2(point.y) ? flags.larger : flags.smaller);
}

/** Inverse of `compressG1`. A value is on the curve. */
export function decompressG1(bytes: Uint8Array, roots = threadRoots()): Decoded<G1> {
  const head = readFlag(bytes, g1CompressedBytes);
  if (!head.ok) return head;
  if (head.value.flag === flags.infinity) return infinityOr(head.value.rest, g1Infinity);
  const x = bigintFromBytes(head.value.rest);
  if (x >= fpModulus) return refuse("its x is not canonical");
  const y = roots.squareRoot(rightSideG1(x));
  if (y === null) return refuse("it is not on the curve");
  return { ok: true, value: { x, y: isLarger(y) === (head.value.flag === flags.larger) ? y : Fp.neg(y) } };
}

/** Inverse of `compressG2`. A value is on the twist; the subgroup is checked by the curve backend. */
export function decompressG2(bytes: Uint8Array, roots = threadRoots()): Decoded<G2> {
  const head = readFlag(bytes, g2CompressedBytes);
  if (!head.ok) return head;
  if (head.value.flag === flags.infinity) return infinityOr(head.value.rest, g2Infinity);
  const x = {
    c1: bigintFromBytes(head.value.rest.subarray(0, 32)),
    c0: bigintFromBytes(head.value.rest.subarray(32)),
  };
  if (x.c0 >= fpModulus || x.c1 >= fpModulus) return refuse("its x is not canonical");
  const y = squareRootFp2(rightSideG2(x), roots);
  if (y === null) return refuse("it is not on the curve");
  return {
    ok: true,
    value: { x, y: isLargerFp2(y) === (head.value.flag === flags.larger) ? y : Fp2Field.neg(y) },
  };
}

/** x ‖ y, 32 big-endian bytes each: how point lists are held in memory and on disk. */
export function g1ToAffineBytes(point: G1): Uint8Array {
  const bytes = new Uint8Array(g1AffineBytes);
  writeBigint(bytes, 0, point.x);
  writeBigint(bytes, 32, point.y);
  return bytes;
}

/** x.c1 ‖ x.c0 ‖ y.c1 ‖ y.c0, the order of EIP-197. */
export function g2ToAffineBytes(point: G2): Uint8Array {
  const bytes = new Uint8Array(g2AffineBytes);
  [point.x.c1, point.x.c0, point.y.c1, point.y.c0].forEach((coordinate, index) => {
    writeBigint(bytes, 32 * index, coordinate);
  });
  return bytes;
}

/** Inverse of `g1ToAffineBytes`. Whether the point is on the curve is not checked. */
export function g1FromAffineBytes(bytes: Uint8Array): G1 {
  return { x: bigintFromBytes(bytes.subarray(0, 32)), y: bigintFromBytes(bytes.subarray(32, 64)) };
}

/** Inverse of `g2ToAffineBytes`. Whether the point is on the twist is not checked. */
export function g2FromAffineBytes(bytes: Uint8Array): G2 {
  const at = (word: number) => bigintFromBytes(bytes.subarray(32 * word, 32 * (word + 1)));
  return { x: { c1: at(0), c0: at(1) }, y: { c1: at(2), c0: at(3) } };
}

/** x³ + 3. */
export function rightSideG1(x: bigint): bigint {
  return Fp.add(Fp.mul(Fp.sqr(x), x), 3n);
}

function rightSideG2(x: Fp2): Fp2 {
  return Fp2Field.add(Fp2Field.mul(Fp2Field.sqr(x), x), twistB);
}

/**
 * Square root in Fp[u]/(u² + 1) by the complex method: with n = √(c0² + c1²), the real part is √((c0 ± n) / 2).
 * Returns null if there is none.
 */
function squareRootFp2(value: Fp2, { squareRoot: rootOf, inverse }: Roots): Fp2 | null {
  const norm = rootOf(Fp.add(Fp.sqr(value.c0), Fp.sqr(value.c1)));
  if (norm === null) return null;
  for (const signed of [norm, Fp.neg(norm)]) {
    const real = rootOf(Fp.mul(Fp.add(value.c0, signed), half));
    if (real === null) continue;
    const root =
      real === 0n
        ? { c0: 0n, c1: rootOf(Fp.neg(value.c0)) ?? 0n }
        : { c0: real, c1: Fp.mul(Fp.mul(value.c1, half), inverse(real)) };
    if (Fp2Field.eql(Fp2Field.sqr(root), value)) return root;
  }
  return null;
}

function isLarger(y: bigint): boolean {
  return y > (fpModulus - 1n) / 2n;
}

function isLargerFp2(y: Fp2): boolean {
  return isLarger(y.c1 === 0n ? y.c0 : y.c1);
}

function flagged(bytes: Uint8Array, flag: number): Uint8Array {
  bytes[0] = bytes[0]! | flag;
  return bytes;
}

function readFlag(bytes: Uint8Array, size: number): Decoded<{ flag: number; rest: Uint8Array }> {
  if (bytes.length !== size) return refuse(`its size is ${bytes.length} bytes, not ${size}`);
  const flag = bytes[0]! & flags.mask;
  if (flag === 0) return refuse("its flag says uncompressed");
  const rest = Uint8Array.from(bytes);
  rest[0] = rest[0]! & ~flags.mask;
  return { ok: true, value: { flag, rest } };
}

function infinityOr<P>(rest: Uint8Array, infinity: P): Decoded<P> {
  return rest.every((byte) => byte === 0)
    ? { ok: true, value: infinity }
    : refuse("infinity has non-zero bytes");
}

function refuse(why: string): { ok: false; reason: string } {
  return { ok: false, reason: `The point is malformed: ${why}.` };
}

function generatorOfG2(): G2 {
  const { x, y } = bn254.G2.Point.BASE.toAffine();
  return { x: { c0: x.c0, c1: x.c1 }, y: { c0: y.c0, c1: y.c1 } };
}
