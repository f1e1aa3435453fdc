import { invariant } from "./errors.ts";

/**
 * The one way in which integers are split: engine, settlement and verification must agree on every unit.
 *
 * Split `total` in proportion to `weights` by largest remainder; ties go to the lower index.
 * The parts sum to `total` exactly. All-zero weights with a positive total have no answer and are our bug.
 */
export function apportion(total: bigint, weights: readonly bigint[]): bigint[] {
  invariant(total >= 0n && weights.every((weight) => weight >= 0n), "apportion takes nothing negative");
  const weightSum = sum(weights);
  if (total === 0n) return weights.map(() => 0n);
  invariant(weightSum > 0n, "a positive total needs a positive weight");
  return divideExactly(
    weights.map((weight) => total * weight),
    weightSum,
  );
}

/**
 * Integers xᵢ with Σ xᵢ = (Σ numerators) / denominator and |xᵢ − numeratorᵢ / denominator| < 1, by largest
 * remainder after rounding down (towards −∞); ties go to the lower index. A numerator that divides exactly,
 * zero above all, is never adjusted: only positive remainders receive a unit, and there are always enough of them.
 */
export function divideExactly(numerators: readonly bigint[], denominator: bigint): bigint[] {
  invariant(denominator > 0n, "the denominator is positive");
  const total = sum(numerators);
  invariant(total % denominator === 0n, "the sum must divide exactly");
  const floors = numerators.map((numerator) => floorDivide(numerator, denominator));
  const remainders = numerators.map((numerator, index) => numerator - floors[index]! * denominator);
  const missing = total / denominator - sum(floors);
  const order = remainders.map((remainder, index) => ({ remainder, index }));
  order.sort((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const { index } of order.slice(0, Number(missing))) floors[index]! += 1n;
  return floors;
}

export function sum(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => a + b, 0n);
}

function floorDivide(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  return numerator % denominator < 0n ? quotient - 1n : quotient;
}
