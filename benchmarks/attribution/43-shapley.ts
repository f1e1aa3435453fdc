import { keccak256, toHex } from "viem";
import { sampleShapley } from "#engine/score/permutations";
import { quantise } from "#engine/score/quantise";
import { factGame } from "#engine/testing/fact-game";
import { alone, type Benchmark } from "../report.ts";

const players = 20;
const callsMax = 128;
const seeds = [1, 2, 3];
const games = [
  { name: "facts told once", tellersMax: 1, goal: 0.1 },
  { name: "facts told up to three times", tellersMax: 3, goal: 0.1 },
  { name: "facts told up to four times", tellersMax: 4, goal: 0.2 },
] as const;

export const benchmark: Benchmark = {
  name: "shapley",
  title: "Sampled Shapley values against the exact ones over all 1,048,576 coalitions",
  conditions: `${players} passages, at most ${callsMax} calls, made-up noisy-or games with 2 % pairwise interaction, seeds ${seeds.join(", ")}; Σ|φ̂ − φ| ÷ Σ|φ|, the worst seed`,
  run: async () =>
    games.map(({ name, tellersMax, goal }) => {
      const errors = seeds.map((seed) => relativeError(factGame(players, tellersMax, seed), seed));
      return alone(name, "relative L1", Math.max(...errors), { max: goal });
    }),
};

function relativeError(game: (mask: number) => number, seed: number): number {
  const pairs = Math.floor((callsMax - 2) / (2 * players - 2));
  const sampler = sampleShapley(players, keccak256(toHex(seed)), { pairsMin: pairs, pairsMax: pairs });
  let step = sampler.next();
  while (!step.done) step = sampler.next(step.value.map((mask) => quantise(game(mask))));
  const exact = exactValues(game);
  const off = exact.reduce(
    (sum, value, i) => sum + Math.abs(Number(step.value.influencesMicro[i]) / 1e6 - value),
    0,
  );
  return off / exact.reduce((sum, value) => sum + Math.abs(value), 0);
}

function exactValues(game: (mask: number) => number): number[] {
  const values = Float64Array.from({ length: 2 ** players }, (_, mask) => game(mask));
  const sizes = Uint8Array.from(values, (_, mask) => bitCount(mask));
  // |S|! (n − |S| − 1)! / n! = 1 / (n · C(n − 1, |S|))
  const weights = Array.from({ length: players }, (_, size) => 1 / (players * choose(players - 1, size)));
  return Array.from({ length: players }, (_, player) => {
    let total = 0;
    for (let mask = 0; mask < values.length; mask++) {
      if ((mask >> player) & 1) continue;
      total += weights[sizes[mask]!]! * (values[mask | (1 << player)]! - values[mask]!);
    }
    return total;
  });
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest > 0; rest >>= 1) count += rest & 1;
  return count;
}

function choose(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= k; i++) result = (result * (n - k + i)) / i;
  return result;
}
