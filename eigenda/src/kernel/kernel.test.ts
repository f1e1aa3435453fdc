import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import type { CurveBackend } from "../curve/backend.ts";
import { frModulus, powFr, writeSymbols } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { g1Generator, g1ToAffineBytes, g2Generator, g2ToAffineBytes } from "../curve/points.ts";
import { kernelBackend } from "./backend.ts";
import { CurveKernel } from "./curve-kernel.ts";
import { type Field, Kernel } from "./kernel.ts";
import { PointList } from "./msm.ts";
import { multiples, multiply, powers } from "./multiples.ts";
import { signedDigits, windowCount } from "./signed-digits.ts";

const ours = kernelBackend();
let mcl: CurveBackend;
beforeAll(async () => {
  mcl = await loadMcl();
});

it("computes in its fields as bigints do, at the edges too", () => {
  const kernel = new Kernel();
  const [a, b, out] = [kernel.take(72), kernel.take(72), kernel.take(72)];
  for (const field of [kernel.fr, kernel.fp, kernel.fp2]) {
    const { modulus } = field;
    const number = fc.oneof(
      fc.bigInt({ min: 0n, max: modulus - 1n }),
      fc.constantFrom(0n, 1n, modulus - 1n, modulus - 2n),
    );
    const pair = fc.tuple(number, number);
    fc.assert(
      fc.property(pair, pair, (x, y) => {
        for (let part = 0; part < field.degree; part++) {
          kernel.write(field, a + 36 * part, x[part]!);
          kernel.write(field, b + 36 * part, y[part]!);
        }
        const result = (operation: () => void) => {
          operation();
          field.reduce(out, out);
          return [0, 1].slice(0, field.degree).map((part) => kernel.read(field, out + 36 * part));
        };
        const wanted = expectations(field, x, y);
        expect(result(() => field.mul(out, a, b))).toEqual(wanted.mul);
        expect(result(() => field.square(out, a))).toEqual(wanted.square);
        expect(result(() => field.add(out, a, b))).toEqual(wanted.add);
        expect(result(() => field.sub(out, a, b))).toEqual(wanted.sub);
        expect(result(() => field.subWide(out, a, b))).toEqual(wanted.sub);
      }),
      { numRuns: 300 },
    );
  }
});

it("multiplies within its bounds: factors up to 8p give a product below 2p, reduced to the same number", () => {
  const kernel = new Kernel();
  const { fp } = kernel;
  const [a, out] = [kernel.take(36), kernel.take(36)];
  const largest = fp.modulus - 1n;
  kernel.write(fp, a, largest);
  // a · 8 by three doublings without reduction.
  for (let time = 0; time < 3; time++) fp.add(a, a, a);
  fp.mul(out, a, a);
  fp.reduce(out, out);
  expect(kernel.read(fp, out)).toBe((64n * largest * largest) % fp.modulus);
});

it("splits scalars into signed digits that add up again", () => {
  const scalar = fc.oneof(fc.bigInt({ min: 0n, max: frModulus - 1n }), fc.constantFrom(0n, frModulus - 1n));
  fc.assert(
    fc.property(scalar, fc.integer({ min: 2, max: 16 }), (value, bits) => {
      const digits = signedDigits(writeSymbols([value, value]), bits);
      const sum = Array.from({ length: windowCount(bits) }, (_, window) => {
        expect(Math.abs(digits[2 * window]!)).toBeLessThanOrEqual(2 ** (bits - 1));
        return BigInt(digits[2 * window]!) << BigInt(window * bits);
      }).reduce((left, right) => left + right);
      expect(sum).toBe(value);
    }),
  );
});

it("sums points as mcl does where points repeat, cancel, or are infinity", () => {
  const [g1, g2] = [g1ToAffineBytes(g1Generator), g2ToAffineBytes(g2Generator)];
  const points = (choices: number[], one: Uint8Array, negative: Uint8Array) =>
    Buffer.concat(choices.map((choice) => [new Uint8Array(one.length), one, negative][choice]!));
  const choice = fc.integer({ min: 0, max: 2 });
  const scalar = fc.oneof(
    fc.constantFrom(0n, 1n, 2n, frModulus - 1n, frModulus - 2n),
    fc.bigInt({ min: 0n, max: frModulus - 1n }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(choice, scalar), { maxLength: 12 }), (list) => {
      const [choices, scalars] = [list.map(([which]) => which), writeSymbols(list.map(([, s]) => s))];
      const listG1 = points(choices, g1, g1ToAffineBytes(mcl.mulG1(g1Generator, -1n)));
      const listG2 = points(choices, g2, g2ToAffineBytes(mcl.mulG2(g2Generator, -1n)));
      expect(ours.basesG1(listG1).msm(scalars, 0)).toEqual(mcl.basesG1(listG1).msm(scalars, 0));
      expect(ours.basesG2(listG2).msm(scalars, 0)).toEqual(mcl.basesG2(listG2).msm(scalars, 0));
    }),
    { numRuns: 60 },
  );
});

it("derives powers of one point, and sums a thousand of them as the exponents do", () => {
  const kernel = new Kernel();
  const curve = new CurveKernel(kernel, kernel.fp);
  const generator = new PointList(curve, g1ToAffineBytes(g1Generator)).pointer(0);
  const [base, count] = [987_654_321n ** 7n % frModulus, 1000];
  const list = multiples(curve, generator, powers(1n, base, frModulus, count));
  expect(list.subarray(64 * 999)).toEqual(g1ToAffineBytes(mcl.mulG1(g1Generator, powFr(base, 999n))));
  expect(multiply(curve, generator, base)).toEqual(list.slice(64, 128));
  const coefficients = Array.from({ length: count }, (_, index) => powFr(3n, BigInt(index + 300)));
  const value = coefficients.reduceRight((sum, c) => (sum * base + c) % frModulus);
  const held = new PointList(curve, list);
  for (let time = 0; time < 2; time++) {
    expect(held.msm(writeSymbols(coefficients), 0)).toEqual(g1ToAffineBytes(mcl.mulG1(g1Generator, value)));
  }
});

function expectations({ degree, modulus }: Field, [a0, a1]: [bigint, bigint], [b0, b1]: [bigint, bigint]) {
  const mod = (value: bigint) => ((value % modulus) + modulus) % modulus;
  const parts = (real: bigint, imaginary: bigint) => [mod(real), mod(imaginary)].slice(0, degree);
  const i = degree === 2 ? 1n : 0n;
  return {
    mul: parts(a0 * b0 - i * a1 * b1, a0 * b1 + a1 * b0),
    square: parts(a0 * a0 - i * a1 * a1, 2n * a0 * a1),
    add: parts(a0 + b0, a1 + b1),
    sub: parts(a0 - b0, a1 - b1),
  };
}
