import fc from "fast-check";
import { type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { sum } from "#schema/apportion";
import { factGame } from "../testing/fact-game.ts";
import { leaveOneOut, surrogate, surrogateCoalitions } from "./alternatives.ts";
import {
  type Estimate,
  errorDivisor,
  orderOf,
  orderSeed,
  pairsLimits,
  sampleShapley,
} from "./permutations.ts";
import { quantise } from "./quantise.ts";
import { shapley } from "./shapley.ts";

const seedOf = (label: string | number): Hex => keccak256(toHex(`seed ${label}`));
type Game = (mask: number) => bigint;

function sample(players: number, game: Game, seed = seedOf(1)): Estimate {
  const sampler = sampleShapley(players, seed);
  let step = sampler.next();
  while (!step.done) step = sampler.next(step.value.map(game));
  return step.value;
}

/** v(S) = Σ aᵢ + Σ bᵢⱼ over pairs in S, even numbers so that halves are integers. */
function pairwise(players: number, seed: number) {
  const next = pcg32(BigInt(seed));
  const draw = () => BigInt(next() % 2_000_000) * 2n - 1_000_000n;
  const singles = Array.from({ length: players }, draw);
  const pairs = singles.map((_, i) => singles.map((_, j) => (j < i ? draw() : 0n)));
  const game: Game = (mask) => {
    const members = singles.flatMap((_, i) => ((mask >> i) & 1 ? [i] : []));
    return sum(members.flatMap((i) => [singles[i]!, ...members.map((j) => (j < i ? pairs[i]![j]! : 0n))]));
  };
  const exact = singles.map(
    (single, i) => single + sum(singles.map((_, j) => pairs[i]![j]! + pairs[j]![i]!)) / 2n,
  );
  return { game, exact };
}

describe("orders", () => {
  it("are permutations, all of them about equally often, and follow from the seed", () => {
    const counts = new Map<string, number>();
    for (let index = 0; index < 2_400; index++) {
      const order = orderOf(seedOf("orders"), index, 4);
      expect([...order].sort()).toEqual([0, 1, 2, 3]);
      counts.set(order.join(""), (counts.get(order.join("")) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    expect(Math.max(...counts.values())).toBeLessThan(150);
    expect(Math.min(...counts.values())).toBeGreaterThan(60);
    expect(orderOf(seedOf(1), 3, 12)).toEqual(orderOf(seedOf(1), 3, 12));
    expect(orderOf(seedOf(1), 3, 12)).not.toEqual(orderOf(seedOf(2), 3, 12));
  });

  it("are seeded by block hash and receipt digest in this order", () => {
    const [block, receipt] = [seedOf("block"), seedOf("receipt")];
    expect(orderSeed(block, receipt)).toBe(keccak256(`${block}${receipt.slice(2)}`));
    expect(orderSeed(block, receipt)).not.toBe(orderSeed(receipt, block));
  });
});

describe("sampled Shapley values", () => {
  it("are exact for pairwise games, with no standard error, from 2n calls on", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.nat(1e6), (players, seed) => {
        const { game, exact } = pairwise(players, seed);
        const found = sample(players, game, seedOf(seed));
        expect(found.influencesMicro).toEqual(exact);
        expect(found.standardErrorsMicro).toEqual(exact.map(() => 0n));
        expect(found.calls).toBeLessThanOrEqual(6 * players);
      }),
    );
  });

  it("need only the first pair's 2n calls to be exact for pairwise games", () => {
    const { game, exact } = pairwise(9, 5);
    const sampler = sampleShapley(9, seedOf(5));
    const asked = sampler.next().value as number[];
    expect(asked.length).toBe(18);
    const known = new Map(asked.map((mask) => [mask, game(mask)]));
    const order = orderOf(seedOf(5), 0, 9);
    const twice = new Array<bigint>(9).fill(0n);
    for (const walk of [order, order.toReversed()]) {
      let mask = 0;
      for (const player of walk) {
        twice[player]! += known.get(mask | (1 << player))! - known.get(mask)!;
        mask |= 1 << player;
      }
    }
    expect(twice.map((x) => x / 2n)).toEqual(exact);
  });

  it("sum to v(N) − v(∅) exactly in any game, and give a null player zero", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat(1e6), (players, seed) => {
        const values = new Map<number, bigint>();
        const next = pcg32(BigInt(seed));
        const game: Game = (mask) => {
          const seen = mask & ~1;
          if (!values.has(seen)) values.set(seen, BigInt(next()) - 2n ** 31n);
          return values.get(seen)!;
        };
        const { influencesMicro } = sample(players, game);
        expect(sum(influencesMicro)).toBe(game(2 ** players - 1) - game(0));
        expect(influencesMicro[0]).toBe(0n);
      }),
      { numRuns: 200 },
    );
  });

  it("lie within four standard errors of the exact values, and stop once these are small", () => {
    let misses = 0;
    for (let seed = 0; seed < 30; seed++) {
      const floats = factGame(8, 3, seed);
      const game: Game = (mask) => quantise(floats(mask));
      const exact = shapley(Array.from({ length: 256 }, (_, mask) => game(mask)));
      const found = sample(8, game, seedOf(seed));
      const gain = game(255) - game(0);
      if (found.isSettled) {
        for (const error of found.standardErrorsMicro)
          expect(error).toBeLessThanOrEqual(gain / errorDivisor + 1n);
      } else {
        expect(found.pairs).toBe(pairsLimits.pairsMax);
      }
      found.influencesMicro.forEach((influence, i) => {
        const off = influence > exact[i]! ? influence - exact[i]! : exact[i]! - influence;
        if (off > 4n * found.standardErrorsMicro[i]! + gain / 50n) misses++;
      });
    }
    expect(misses).toBeLessThanOrEqual(12);
  });

  it("stop at the first look where the context did not help", () => {
    const next = pcg32(9n);
    const worse: Game = (mask) => (mask === 0 ? 0n : -BigInt(next() % 1_000_000) - 1n);
    const found = sample(10, worse);
    expect(found.isSettled).toBe(false);
    expect(found.pairs).toBe(pairsLimits.pairsMin);
  });
});

describe("the alternatives", () => {
  it("leave out: a passage that stands twice gets nothing", () => {
    expect(leaveOneOut(-1, [-1, -1, -4])).toEqual([0, 0, 3]);
  });

  it("surrogate: finds the passages of a linear game and leaves the others at zero", () => {
    const truth = [3, 0, 0, 1.5, 0, 0, 0, 2];
    const masks = surrogateCoalitions(8, seedOf(3));
    expect(masks.length).toBe(64);
    const logProbs = masks.map((mask) => truth.reduce((sum, w, i) => sum + ((mask >> i) & 1 ? w : 0), -40));
    const weights = surrogate(8, masks, logProbs);
    weights.forEach((weight, i) => {
      expect(Math.abs(weight - truth[i]!)).toBeLessThan(0.1);
    });
    const kept = masks.reduce((sum, mask) => sum + (mask & 1), 0);
    expect(kept).toBeGreaterThan(16);
    expect(kept).toBeLessThan(48);
  });
});
