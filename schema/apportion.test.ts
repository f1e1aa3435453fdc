import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apportion, divideExactly } from "./apportion.ts";

describe("apportion", () => {
  it("gives the units left over to the largest remainders, ties to the first", () => {
    expect(apportion(10n, [1n, 1n, 1n])).toEqual([4n, 3n, 3n]);
    expect(apportion(10n, [1n, 2n, 4n])).toEqual([1n, 3n, 6n]);
    expect(apportion(0n, [0n, 0n])).toEqual([0n, 0n]);
  });

  it("sums to the total, gives nothing to zero weight and is within one of the exact share", () => {
    const weights = fc.array(fc.bigInt({ min: 0n, max: 10n ** 24n }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 27n }), weights, (total, given) => {
        const sum = given.reduce((a, b) => a + b, 0n);
        if (sum === 0n) return;
        const parts = apportion(total, given);
        expect(parts.reduce((a, b) => a + b, 0n)).toBe(total);
        for (const [i, part] of parts.entries()) {
          const error = part * sum - total * given[i]!;
          expect(error < sum && error > -sum).toBe(true);
          if (given[i] === 0n) expect(part).toBe(0n);
        }
      }),
    );
  });

  it("refuses a positive total without a positive weight, and anything negative", () => {
    expect(() => apportion(1n, [0n])).toThrow(/positive weight/);
    expect(() => apportion(1n, [])).toThrow(/positive weight/);
    expect(() => apportion(-1n, [1n])).toThrow(/negative/);
  });
});

describe("divideExactly", () => {
  it("rounds negative quotients down before it hands out the remainder", () => {
    expect(divideExactly([-5n, 5n], 2n)).toEqual([-2n, 2n]);
    expect(divideExactly([-1n, 1n], 6n)).toEqual([0n, 0n]);
  });

  it("refuses a sum that does not divide", () => {
    expect(() => divideExactly([1n, 1n], 3n)).toThrow(/divide exactly/);
  });
});
