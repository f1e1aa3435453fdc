import fc from "fast-check";
import { expect, it } from "vitest";
import { exp, log } from "./exponential.ts";

const relative = (given: number, wanted: number) => Math.abs(given - wanted) / Math.abs(wanted);

it("is the exponential to 2 units in the last place", () => {
  fc.assert(
    fc.property(fc.double({ min: -708, max: 709, noNaN: true }), (x) => {
      expect(relative(exp(x), Math.exp(x))).toBeLessThan(4.5e-16);
    }),
    { seed: 1, numRuns: 20_000 },
  );
  expect([exp(0), exp(-Infinity), exp(-800), exp(Infinity), exp(Number.NaN)]).toEqual([
    1,
    0,
    0,
    Infinity,
    Number.NaN,
  ]);
});

it("is the logarithm to 2 units in the last place", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
      expect(Math.abs(log(x) - Math.log(x))).toBeLessThanOrEqual(4.5e-16 * Math.abs(Math.log(x)) + 1e-18);
    }),
    { seed: 2, numRuns: 20_000 },
  );
  expect([log(1), log(0), log(Infinity), log(-1), log(Number.NaN)]).toEqual([
    0,
    -Infinity,
    Infinity,
    Number.NaN,
    Number.NaN,
  ]);
});

// Computed by the same steps in Python.
it("gives these bits on every machine", () => {
  const hex = (x: number) => new BigUint64Array(Float64Array.of(x).buffer)[0]!.toString(16);
  expect([-0.1, -1, -7.3, -22.18, -100, 1].map((x) => hex(exp(x)))).toEqual([
    "3fecf46d99d52b3a",
    "3fd78b56362cef38",
    "3f4622d4792b6a8c",
    "3df002e8853125b5",
    "36ea8c1f14e2af5e",
    "4005bf0a8b14576a",
  ]);
  expect([0.1, 2, 10, 50_257, 1e-9].map((x) => hex(log(x)))).toEqual([
    "c0026bb1bbb55515",
    "3fe62e42fefa39ef",
    "40026bb1bbb55516",
    "4025a659f6bed8c8",
    "c034b927f32bffb8",
  ]);
});
