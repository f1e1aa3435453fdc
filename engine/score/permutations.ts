import { concat, type Hex, hexToBytes, keccak256, toHex } from "viem";
import { divideExactly } from "#schema/apportion";
import { invariant } from "#schema/errors";

/** Players of a sampled game: a coalition is the bits of a non-negative int32. */
export const sampledPlayersMax = 30;

/** Pairs of orders before the first look at the standard error (that of two says little), and at the most. */
export const pairsLimits: PairsLimits = { pairsMin: 3, pairsMax: 64 };

export type PairsLimits = { readonly pairsMin: number; readonly pairsMax: number };

/** Sampling ends when no player's standard error is above v(N) − v(∅) divided by this: 5 %. */
export const errorDivisor = 20n;

/** Shapley values in micro-nats, Σ = v(N) − v(∅) exactly, each with its standard error, rounded up. */
export type Estimate = {
  readonly influencesMicro: readonly bigint[];
  readonly standardErrorsMicro: readonly bigint[];
  /** Values of v asked for: ∅, N and every other coalition once. */
  readonly calls: number;
  readonly pairs: number;
  /** Whether the standard error met its bound; false where the context did not help, or at `pairsMax`. */
  readonly isSettled: boolean;
};

/**
 * Seed of a receipt's orders: keccak(block hash ‖ receipt digest), the block being the one after the batch settled. The
 * node that signed the receipt could not know it; the sequencer, who orders blocks, could try several.
 */
export function orderSeed(blockHash: Hex, receiptDigest: Hex): Hex {
  return keccak256(concat([blockHash, receiptDigest]));
}

/**
 * Order `index` of 0 … players − 1: Fisher and Yates from the top, drawing from the big-endian uint32s of
 * keccak(seed ‖ uint32 index ‖ uint32 counter), counter = 0, 1, …; a draw ≥ the largest multiple of the bound is skipped.
 */
export function orderOf(seed: Hex, index: number, players: number): number[] {
  const order = Array.from({ length: players }, (_, player) => player);
  const draw = drawer(seed, index);
  for (let last = players - 1; last > 0; last--) {
    const picked = draw(last + 1);
    [order[last], order[picked]] = [order[picked]!, order[last]!];
  }
  return order;
}

/**
 * Shapley values by antithetic orders: each drawn order is walked forwards and backwards, and the pair's mean marginal
 * contribution counts once. Exact after one pair (2n calls) for games of pairwise interactions: a player meets each
 * other one before it in exactly one of the two.
 *
 * A generator, so that it stays pure: it yields the coalitions whose values it needs (bit i set = player i is in),
 * takes them in micro-nats in that order, and returns the estimate. All in integers: the same on every machine.
 * Where v(N) ≤ v(∅) the context did not help and nothing is paid by these values, so it stops at the first look.
 */
export function* sampleShapley(
  players: number,
  seed: Hex,
  { pairsMin, pairsMax } = pairsLimits,
): Generator<number[], Estimate, bigint[]> {
  invariant(pairsMin >= 2 && pairsMax >= pairsMin, "a standard error needs two pairs");
  invariant(
    players >= 1 && players <= sampledPlayersMax,
    `1 to ${sampledPlayersMax} players, got ${players}`,
  );
  const known = new Map<number, bigint>();
  const first = new Array<bigint>(players).fill(0n);
  const second = new Array<bigint>(players).fill(0n);
  const full = 2 ** players - 1;
  for (let pairs = 1; ; pairs++) {
    const order = orderOf(seed, pairs - 1, players);
    const walks = [order, order.toReversed()];
    const missing = [...new Set(walks.flatMap(coalitions))].filter((mask) => !known.has(mask));
    if (missing.length > 0) {
      const values = yield missing;
      invariant(values.length === missing.length, "a value for each coalition");
      missing.forEach((mask, i) => {
        known.set(mask, values[i]!);
      });
    }
    for (const [player, sum] of pairSums(walks, known).entries()) {
      first[player]! += sum;
      second[player]! += sum * sum;
    }
    const gain = known.get(full)! - known.get(0)!;
    const isSettled = pairs >= pairsMin && gain > 0n && isBelowBound(first, second, BigInt(pairs), gain);
    if (isSettled || pairs >= pairsMax || (pairs >= pairsMin && gain <= 0n)) {
      return estimateOf(first, second, pairs, known.size, isSettled);
    }
  }
}

/** Coalitions that a walk passes, ∅ and N included. */
function coalitions(order: readonly number[]): number[] {
  let mask = 0;
  return [0, ...order.map((player) => (mask |= 1 << player))];
}

/** Per player: its marginal contribution forwards plus backwards. */
function pairSums(walks: readonly number[][], known: ReadonlyMap<number, bigint>): bigint[] {
  const sums = new Array<bigint>(walks[0]!.length).fill(0n);
  for (const order of walks) {
    let mask = 0;
    for (const player of order) {
      const next = mask | (1 << player);
      sums[player]! += known.get(next)! - known.get(mask)!;
      mask = next;
    }
  }
  return sums;
}

/**
 * For x a pair's sum, its half is what is averaged over T pairs: SE² = (T Σx² − (Σx)²) / (4 T² (T − 1)).
 * Below gain / errorDivisor for all players?
 */
function isBelowBound(
  first: readonly bigint[],
  second: readonly bigint[],
  pairs: bigint,
  gain: bigint,
): boolean {
  const bound = 4n * pairs * pairs * (pairs - 1n) * gain * gain;
  return first.every((sum, i) => errorDivisor * errorDivisor * (pairs * second[i]! - sum * sum) <= bound);
}

function estimateOf(
  first: readonly bigint[],
  second: readonly bigint[],
  pairCount: number,
  calls: number,
  isSettled: boolean,
): Estimate {
  const pairs = BigInt(pairCount);
  const squared = first.map((sum, i) => pairs * second[i]! - sum * sum);
  const divisor = 4n * pairs * pairs * (pairs - 1n);
  return {
    influencesMicro: divideExactly(first, 2n * pairs),
    standardErrorsMicro: squared.map((value) => rootUp((value + divisor - 1n) / divisor)),
    calls,
    pairs: pairCount,
    isSettled,
  };
}

/** The smallest integer whose square is at least `value`. */
function rootUp(value: bigint): bigint {
  if (value < 2n) return value;
  let low = BigInt(Math.floor(Math.sqrt(Number(value))));
  while (low * low < value) low++;
  while ((low - 1n) * (low - 1n) >= value) low--;
  return low;
}

function drawer(seed: Hex, index: number): (bound: number) => number {
  let counter = 0;
  let words: number[] = [];
  const next = (): number => {
    if (words.length === 0) {
      const bytes = hexToBytes(keccak256(concat([seed, uint32(index), uint32(counter++)])));
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      words = Array.from({ length: 8 }, (_, i) => view.getUint32(i * 4));
    }
    return words.shift()!;
  };
  return (bound) => {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let word = next();
    while (word >= limit) word = next();
    return word % bound;
  };
}

function uint32(value: number): Hex {
  return toHex(value, { size: 4 });
}
