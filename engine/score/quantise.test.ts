import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataShare, quantise, toWad } from "./quantise.ts";

const wad = 10n ** 18n;

describe("quantise", () => {
  it("rounds half away from zero to micro-nats", () => {
    expect(quantise(-1.5e-6)).toBe(-2n);
    expect(quantise(-0.5e-6)).toBe(-1n);
    expect(quantise(-0.49e-6)).toBe(0n);
    expect(quantise(2.5e-6)).toBe(3n);
    expect(quantise(-12.3456789)).toBe(-12_345_679n);
    expect(quantise(-0)).toBe(0n);
  });

  it("is odd and never off by more than half a micro-nat", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 0, noNaN: true }), (nats) => {
        expect(quantise(-nats)).toBe(-quantise(nats));
        expect(Math.abs(Number(quantise(nats)) - nats * 1e6)).toBeLessThanOrEqual(0.5000001);
      }),
    );
  });

  it("refuses what is not a number", () => {
    expect(() => quantise(Number.NaN)).toThrow(/finite/);
    expect(() => quantise(Number.NEGATIVE_INFINITY)).toThrow(/finite/);
  });

  it("scales to wad without loss", () => {
    expect(toWad(-12_345_679n)).toBe(-12_345_679_000_000_000_000n);
  });
});

describe("dataShare", () => {
  it("is the part of the surprise the context removed, rounded down", () => {
    expect(dataShare(-10n, -5n)).toBe(wad / 2n);
    expect(dataShare(-3n, -2n)).toBe(wad / 3n);
    expect(dataShare(-10n, 0n)).toBe(wad);
  });

  it("is zero where the context did not help or there was nothing to explain, and one at most", () => {
    expect(dataShare(-5n, -10n)).toBe(0n);
    expect(dataShare(-5n, -5n)).toBe(0n);
    expect(dataShare(0n, 0n)).toBe(0n);
    expect(dataShare(0n, -4n)).toBe(0n);
    expect(dataShare(-4n, 4n)).toBe(wad);
  });
});
