import { invariant } from "#schema/errors";

/**
 * Split `total` in proportion to `weights` by largest remainder; ties go to the lower index.
 * The parts sum to `total` exactly. All-zero weights with a positive total have no answer and are our bug.
 */
export function apportion(total: bigint, weights: readonly bigint[]): bigint[] {
  invariant(total >= 0n && weights.every((weight) => weight >= 0n), "apportion takes nothing negative");
  const sum = weights.reduce((a, b) => a + b, 0n);
  if (total === 0n) return weights.map(() => 0n);
  invariant(sum > 0n, "a positive total needs a positive weight");
  return divideExactly(
    weights.map((weight) => total * weight),
    sum,
  );
}

/**
 * Integers xᵢ with Σ xᵢ = (Σ numerators) / denominator and |xᵢ − numeratorᵢ / denominator| < 1, by largest
 * remainder after rounding down (towards −∞); ties go to the lower index. A numerator that divides exactly,
 * zero above all, is never adjusted: only positive remainders receive a unit, and there are always enough of them.
 */
export function divideExactly(numerators: readonly bigint[], denominator: bigint): bigint[] {
  invariant(denominator > 0n, "the denominator is positive");
  const sum = numerators.reduce((a, b) => a + b, 0n);
  invariant(sum % denominator === 0n, "the sum must divide exactly");
  const floors = numerators.map((numerator) => floorDivide(numerator, denominator));
  const remainders = numerators.map((numerator, index) => numerator - floors[index]! * denominator);
  const missing = sum / denominator - floors.reduce((a, b) => a + b, 0n);
  const order = remainders.map((remainder, index) => ({ remainder, index }));
  order.sort((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const { index } of order.slice(0, Number(missing))) floors[index]! += 1n;
  return floors;
}

function floorDivide(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  return numerator % denominator < 0n ? quotient - 1n : quotient;
}
