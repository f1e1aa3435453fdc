import { invariant } from "#schema/errors";

/**
 * Split `totalWei` in proportion to `weights` by largest remainder: every part is rounded down, then one wei each to
 * the largest remainders, ties to the lower index. The parts sum to `totalWei`. A zero weight gets nothing.
 * Nothing may be negative, and a positive total needs a positive weight.
 */
export function apportion(totalWei: bigint, weights: readonly bigint[]): bigint[] {
  invariant(totalWei >= 0n && weights.every((weight) => weight >= 0n), "apportion takes nothing negative");
  const weightSum = sum(weights);
  if (totalWei === 0n) return weights.map(() => 0n);
  invariant(weightSum > 0n, "a positive total needs a positive weight");
  const parts = weights.map((weight) => (totalWei * weight) / weightSum);
  const remainders = weights.map((weight, index) => ({ index, rest: (totalWei * weight) % weightSum }));
  remainders.sort((a, b) => (a.rest === b.rest ? a.index - b.index : a.rest > b.rest ? -1 : 1));
  const leftWei = totalWei - sum(parts);
  for (const { index } of remainders.slice(0, Number(leftWei))) parts[index]! += 1n;
  return parts;
}

export function sum(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => a + b, 0n);
}
