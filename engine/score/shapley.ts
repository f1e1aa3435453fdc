import { divideExactly } from "#schema/apportion";
import { invariant } from "#schema/errors";

/** Most players scored exactly for every answer: 2^6 = 64 values. */
export const playersMax = 6;

/** Most players scored exactly in an audit: 1,024 values. */
export const auditPlayersMax = 10;

/**
 * Exact Shapley values of a game with at most `auditPlayersMax` players.
 *
 *   φᵢ = Σ_{S ⊆ N∖{i}} |S|! (n − |S| − 1)! / n! · (v(S ∪ {i}) − v(S))        (Shapley 1953)
 *
 * `valuesMicro[mask]` is v(S) in micro-nats, bit i of `mask` set where player i is in S: 2^n entries. The result is
 * in micro-nats and sums to v(N) − v(∅) exactly: n! is divided out last, by largest remainder, ties to the lower index.
 * So symmetric players may differ by one micro-nat, and linearity holds within one micro-nat per player.
 */
export function shapley(valuesMicro: readonly bigint[]): bigint[] {
  const numerators = shapleyNumerators(valuesMicro);
  return divideExactly(numerators, factorial(numerators.length));
}

/** The same values times n!: exactly linear, symmetric and zero for null players. */
export function shapleyNumerators(valuesMicro: readonly bigint[]): bigint[] {
  const players = Math.log2(valuesMicro.length);
  invariant(
    Number.isInteger(players) && players <= auditPlayersMax,
    `a game has 2^n values, n ≤ ${auditPlayersMax}`,
  );
  const weights = Array.from(
    { length: players },
    (_, size) => factorial(size) * factorial(players - size - 1),
  );
  const numerators = new Array<bigint>(players).fill(0n);
  for (let mask = 0; mask < valuesMicro.length; mask++) {
    const weight = weights[bitCount(mask)];
    for (let player = 0; player < players; player++) {
      if ((mask >> player) & 1) continue;
      numerators[player]! += weight! * (valuesMicro[mask | (1 << player)]! - valuesMicro[mask]!);
    }
  }
  return numerators;
}

/** Subsets of `items` in the order of their masks, each in the order of `items`; index = mask. */
export function subsets<T>(items: readonly T[]): T[][] {
  invariant(items.length <= auditPlayersMax, `at most ${auditPlayersMax} players`);
  return Array.from({ length: 2 ** items.length }, (_, mask) =>
    items.filter((_, index) => (mask >> index) & 1),
  );
}

function factorial(n: number): bigint {
  let product = 1n;
  for (let factor = 2n; factor <= BigInt(n); factor++) product *= factor;
  return product;
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest > 0; rest >>= 1) count += rest & 1;
  return count;
}
