import { symbolBytes } from "../curve/field.ts";
import type { CurveKernel, Signed } from "./curve-kernel.ts";
import { elementBytes } from "./field-code.ts";
import type { Field, Kernel, Pointer } from "./kernel.ts";

/** 3b of G1's curve y² = x³ + 3, and of the twist, where b = 3 / (9 + i); real part first. */
const threeB: Record<1 | 2, readonly bigint[]> = {
  1: [9n],
  2: [
    3n * 19485874751759354771024239261021720505790618469301721065564631296452457478373n,
    3n * 266929791119991161246907387137283842545076965332900288569378510910307636690n,
  ],
};

/** X : Y : Z with x = X/Z and y = Y/Z, in three consecutive elements; infinity is 0 : 1 : 0. */
type Projective = Pointer;

/**
 * Σ_j 2^j · points_j, by doubling and adding from the highest on; the serial end of a multi-scalar multiplication.
 * Returns affine big-endian bytes as in curve/points.ts.
 */
export function weightedSum(curve: CurveKernel, points: Int32Array): Uint8Array {
  const { kernel, field } = curve;
  const mark = kernel.mark();
  const sum = kernel.take(3 * field.bytes);
  const point = kernel.take(3 * field.bytes);
  const constant = writeParts(kernel, field, threeB[field.degree]);
  const one = writeParts(kernel, field, [1n, 0n]);
  const temporary = kernel.take(6 * field.bytes);
  writeProjective(kernel, field, sum, 0, one);
  for (const signed of [...points].reverse()) {
    addProjective(field, sum, sum, constant, temporary);
    if (signed === 0) continue;
    writeProjective(kernel, field, point, signed, one);
    addProjective(field, sum, point, constant, temporary);
  }
  const bytes = affineBytes(curve, sum, temporary);
  kernel.release(mark);
  return bytes;
}

/**
 * p = p + q, where q may be p, by a formula without exceptions: Algorithm 7, Renes, Costello, Batina 2016 (groups of odd order, a = 0).
 * Coordinates are below 4p before and after.
 */
function addProjective(field: Field, p: Projective, q: Projective, constant: Pointer, temporary: Pointer) {
  const size = field.bytes;
  const [x1, y1, z1] = [p, p + size, p + 2 * size];
  const [x2, y2, z2] = [q, q + size, q + 2 * size];
  const [t0, t1, t2, t3, t4, t5] = [0, 1, 2, 3, 4, 5].map((index) => temporary + index * size) as [
    Pointer,
    Pointer,
    Pointer,
    Pointer,
    Pointer,
    Pointer,
  ];
  field.add(t3, x1, y1);
  field.add(t4, x2, y2);
  field.mul(t3, t3, t4);
  field.add(t4, y1, z1);
  field.add(t5, y2, z2);
  field.mul(t4, t4, t5);
  field.add(t5, x1, z1);
  field.add(t0, x2, z2);
  field.mul(t5, t5, t0);
  field.mul(t0, x1, x2);
  field.mul(t1, y1, y2);
  field.mul(t2, z1, z2);
  // The cross terms: t3 = x1 y2 + x2 y1, t4 = y1 z2 + y2 z1, t5 = x1 z2 + x2 z1.
  field.add(x1, t0, t1);
  field.subWide(t3, t3, x1);
  field.add(x1, t1, t2);
  field.subWide(t4, t4, x1);
  field.add(x1, t0, t2);
  field.subWide(t5, t5, x1);
  field.add(x1, t0, t0);
  field.add(t0, x1, t0);
  field.mul(t2, constant, t2);
  field.add(z1, t1, t2);
  field.sub(t1, t1, t2);
  field.mul(t5, constant, t5);
  field.mul(x1, t4, t5);
  field.mul(t2, t3, t1);
  field.sub(x1, t2, x1);
  field.mul(t5, t5, t0);
  field.mul(t1, t1, z1);
  field.add(y1, t1, t5);
  field.mul(t0, t0, t3);
  field.mul(z1, z1, t4);
  field.add(z1, z1, t0);
}

function writeProjective(
  kernel: Kernel,
  field: Field,
  target: Projective,
  signed: Signed,
  one: Pointer,
): void {
  const { words } = kernel;
  const size = field.bytes / 4;
  const at = target / 4;
  words.fill(0, at, at + 3 * size);
  const copyTo = (element: number, source: Pointer) =>
    words.copyWithin(at + element * size, source / 4, source / 4 + size);
  if (signed === 0) return void copyTo(1, one);
  const point = signed & ~1;
  copyTo(0, point);
  if (signed === point) copyTo(1, point + field.bytes);
  else field.sub(target + field.bytes, target + 2 * field.bytes, point + field.bytes);
  copyTo(2, one);
}

function writeParts(kernel: Kernel, field: Field, parts: readonly bigint[]): Pointer {
  const pointer = kernel.take(field.bytes);
  for (let part = 0; part < field.degree; part++) {
    kernel.write(field, pointer + part * elementBytes, parts[part]! % field.modulus);
  }
  return pointer;
}

function affineBytes(curve: CurveKernel, point: Projective, temporary: Pointer): Uint8Array {
  const { kernel, field } = curve;
  const size = field.bytes;
  const [z, inverse] = [point + 2 * size, temporary];
  field.reduce(z, z);
  const isInfinity = kernel.words.subarray(z / 4, (z + size) / 4).every((word) => word === 0);
  const bytes = new Uint8Array(2 * field.degree * symbolBytes);
  if (isInfinity) return bytes;
  curve.invert(inverse, z);
  field.mul(point, point, inverse);
  field.mul(point + size, point + size, inverse);
  curve.writeAffine(bytes, 0, point);
  return bytes;
}
