import type { Hex } from "viem";
import { invariant } from "#schema/errors";
import { orderOf } from "./permutations.ts";

/**
 * Other ways to divide an answer over its passages, for comparison and where Shapley values cannot be had. None of them
 * sums to v(N) − v(∅) by itself: `estimate.ts` names them, `total.ts` stretches them to what the context is worth.
 */

/** v(N) − v(N∖i), n + 1 calls. Evidence that stands twice gets nothing. */
export function leaveOneOut(valueFull: number, valuesWithout: readonly number[]): number[] {
  return valuesWithout.map((without) => valueFull - without);
}

/** Calls of the surrogate, the weight of its penalty and the chance of a passage to be kept, as its authors set them. */
export const surrogateCalls = 64;
const penalty = 0.01;

/** Coalitions the surrogate is fitted on: each passage kept with probability ½, by the order's stream. */
export function surrogateCoalitions(players: number, seed: Hex, calls = surrogateCalls): number[] {
  return Array.from({ length: calls }, (_, call) => {
    // A fair coin per passage: which of its two places comes first in a drawn order of 2 · players.
    const order = orderOf(seed, call, players * 2);
    return Array.from({ length: players }, (_, i) => i).reduce(
      (mask, player) =>
        order.indexOf(player * 2) < order.indexOf(player * 2 + 1) ? mask | (1 << player) : mask,
      0,
    );
  });
}

const sweepsMax = 1_000;
const sweepTolerance = 1e-10;

/**
 * ContextCite's estimate: lasso of the log-odds of the whole answer on which passages were there, masks standardised,
 * coefficients divided by the masks' deviation. By coordinate descent in a fixed order. Source: §3, Cohen-Wang et al. 2024.
 * `logProbs[i]` is log p(answer | coalition i). Weights are in nats of log-odds per passage, close to nats of
 * log-probability only where p is small.
 */
export function surrogate(players: number, masks: readonly number[], logProbs: readonly number[]): number[] {
  invariant(masks.length === logProbs.length && masks.length > 0, "a value for each coalition");
  const n = masks.length;
  const target = centred(
    logProbs.map((logProb) => logProb - Math.log(Math.max(-Math.expm1(logProb), 1e-300))),
  );
  const columns = Array.from({ length: players }, (_, player) => {
    const column = centred(masks.map((mask) => (mask >> player) & 1));
    const deviation = Math.sqrt(column.reduce((sum, x) => sum + x * x, 0) / n);
    return { deviation, values: column.map((x) => (deviation === 0 ? 0 : x / deviation)) };
  });
  const weights = new Array<number>(players).fill(0);
  const residual = [...target];
  for (let sweep = 0; sweep < sweepsMax; sweep++) {
    let moved = 0;
    columns.forEach(({ values, deviation }, player) => {
      if (deviation === 0) return;
      const correlation = values.reduce((sum, x, i) => sum + x * residual[i]!, 0) / n + weights[player]!;
      const next = Math.sign(correlation) * Math.max(Math.abs(correlation) - penalty, 0);
      const step = next - weights[player]!;
      if (step === 0) return;
      values.forEach((x, i) => {
        residual[i]! -= step * x;
      });
      weights[player] = next;
      moved = Math.max(moved, Math.abs(step));
    });
    if (moved <= sweepTolerance) break;
  }
  return weights.map((weight, player) => (weight === 0 ? 0 : weight / columns[player]!.deviation));
}

function centred(values: readonly number[]): number[] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.map((value) => value - mean);
}
