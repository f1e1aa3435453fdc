import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { auditPlayersMax, shapley, shapleyNumerators, subsets } from "./shapley.ts";

const value = fc.bigInt({ min: -50_000_000n, max: 0n });
const games = fc
  .integer({ min: 0, max: 5 })
  .chain((players) => fc.array(value, { minLength: 2 ** players, maxLength: 2 ** players }));
const sum = (values: readonly bigint[]) => values.reduce((a, b) => a + b, 0n);

describe("shapley", () => {
  it("gives nothing to no players and everything to one", () => {
    expect(shapley([-5n])).toEqual([]);
    expect(shapley([-5n, -2n])).toEqual([3n]);
  });

  it("splits a pure synergy equally and gives the odd micro-nat to the first player", () => {
    expect(shapley([0n, 0n, 0n, 10n])).toEqual([5n, 5n]);
    expect(shapley([0n, 0n, 0n, 11n])).toEqual([6n, 5n]);
    expect(shapley([0n, 0n, 0n, -11n])).toEqual([-5n, -6n]);
  });

  it("equals the mean marginal contribution over all orders of the players", () => {
    fc.assert(
      fc.property(games, (values) => {
        expect(shapleyNumerators(values)).toEqual(numeratorsByPermutation(values));
      }),
      { numRuns: 60 },
    );
  });

  it("sums to v(N) − v(∅) exactly and stays within one micro-nat of the exact fraction", () => {
    fc.assert(
      fc.property(games, (values) => {
        const scores = shapley(values);
        expect(sum(scores)).toBe(values.at(-1)! - values[0]!);
        const orders = factorial(scores.length);
        for (const [i, numerator] of shapleyNumerators(values).entries()) {
          const error = scores[i]! * orders - numerator;
          expect(error < orders && error > -orders).toBe(true);
        }
      }),
    );
  });

  it("gives a null player exactly zero", () => {
    fc.assert(
      fc.property(games, fc.nat(), (values, pick) => {
        const players = Math.log2(values.length);
        const bit = pick % (players + 1);
        expect(shapley(insertNullPlayer(values, bit))[bit]).toBe(0n);
      }),
    );
  });

  it("gives symmetric players the same up to one micro-nat, and permutes with the players", () => {
    fc.assert(
      fc.property(games, (values) => {
        const players = Math.log2(values.length);
        if (players < 2) return;
        const swapped = values.map((_, mask) => values[swapBits(mask, 0, 1)]!);
        const [a, b] = shapleyNumerators(values);
        expect(shapleyNumerators(swapped).slice(0, 2)).toEqual([b, a]);
        const symmetric = values.map((v, mask) => v + values[swapBits(mask, 0, 1)]!);
        const [first, second] = shapley(symmetric);
        expect(first! - second! === 0n || first! - second! === 1n).toBe(true);
      }),
    );
  });

  it("is linear in the game before the last division", () => {
    fc.assert(
      fc.property(games, fc.bigInt({ min: 0n, max: 9n }), (values, factor) => {
        const other = values.map((v, mask) => (v * 7n) / 3n - BigInt(mask));
        const combined = values.map((v, mask) => v * factor + other[mask]!);
        const a = shapleyNumerators(values);
        const b = shapleyNumerators(other);
        expect(shapleyNumerators(combined)).toEqual(a.map((x, i) => x * factor + b[i]!));
      }),
    );
  });

  it("refuses more players than it can score exactly, and a game with a value missing", () => {
    expect(() => shapley(new Array(2 ** (auditPlayersMax + 1)).fill(0n))).toThrow(/2\^n/);
    expect(() => shapley([0n, 1n, 2n])).toThrow(/2\^n/);
  });
});

describe("subsets", () => {
  it("lists all subsets by mask and keeps the order of the items", () => {
    expect(subsets(["a", "b", "c"])).toEqual([
      [],
      ["a"],
      ["b"],
      ["a", "b"],
      ["c"],
      ["a", "c"],
      ["b", "c"],
      ["a", "b", "c"],
    ]);
  });
});

/** Walks every order outright: n! paths, each step's marginal weighted by the orders that complete it. */
function numeratorsByPermutation(values: readonly bigint[]): bigint[] {
  const players = Math.log2(values.length);
  const totals = new Array<bigint>(players).fill(0n);
  const walk = (order: number[], mask: number) => {
    if (order.length === players) {
      let seen = 0;
      for (const player of order) {
        totals[player]! += values[seen | (1 << player)]! - values[seen]!;
        seen |= 1 << player;
      }
    }
    for (let player = 0; player < players; player++)
      if (!((mask >> player) & 1)) walk([...order, player], mask | (1 << player));
  };
  walk([], 0);
  return totals;
}

function insertNullPlayer(values: readonly bigint[], bit: number): bigint[] {
  const low = (1 << bit) - 1;
  return Array.from({ length: values.length * 2 }, (_, mask) => values[(mask & low) | ((mask >> 1) & ~low)]!);
}

function swapBits(mask: number, a: number, b: number): number {
  const differ = ((mask >> a) ^ (mask >> b)) & 1;
  return mask ^ (differ << a) ^ (differ << b);
}

function factorial(n: number): bigint {
  return n <= 1 ? 1n : BigInt(n) * factorial(n - 1);
}
