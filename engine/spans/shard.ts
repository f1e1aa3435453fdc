import { invariant } from "#schema/errors";
import { suffixArray } from "./suffix-array.ts";

/** Between two records stands a token that no query has: no match crosses records. Token ids are shifted to make room. */
const separator = 1;
const tokenShift = 2;

/** Records with the order of all their suffixes. Shards add up: a match in one is a match, counts are summed. */
export type Shard = {
  readonly recordIds: readonly string[];
  /** Where each record starts in `text`, ascending; `text` has shifted tokens and a separator after each record. */
  readonly starts: Int32Array;
  readonly text: Int32Array;
  readonly order: Int32Array;
};

/** A record as its model's token ids. */
export type TokenRecord = { readonly id: string; readonly tokenIds: ArrayLike<number> };

/** @throws InvariantError above `shardTokensMax` tokens. */
export function buildShard(records: readonly TokenRecord[]): Shard {
  const length = records.reduce((total, { tokenIds }) => total + tokenIds.length + 1, 0);
  const text = new Int32Array(length);
  const starts = new Int32Array(records.length);
  let [end, largest] = [0, separator];
  records.forEach(({ tokenIds }, index) => {
    starts[index] = end;
    for (let i = 0; i < tokenIds.length; i++) {
      const token = tokenIds[i]! + tokenShift;
      invariant(token >= tokenShift, "token ids are not negative");
      if (token > largest) largest = token;
      text[end++] = token;
    }
    text[end++] = separator;
  });
  return { recordIds: records.map(({ id }) => id), starts, text, order: suffixArray(text, largest + 1) };
}

/** Length in tokens of the longest prefix of query[from …] that stands in the shard. */
export function longestMatch(shard: Shard, query: Int32Array, from: number): number {
  const { order } = shard;
  const place = lowerBound(shard, query, from, query.length - from);
  // The longest match is with a neighbour of the place where the query would stand, which may be before the first.
  const below = place > 0 ? commonLength(shard, order[place - 1]!, query, from) : 0;
  const above = place < order.length ? commonLength(shard, order[place]!, query, from) : 0;
  return Math.max(below, above);
}

/** Ranks of the suffixes that begin with query[from, from + length). */
export function rangeOf(
  shard: Shard,
  query: Int32Array,
  from: number,
  length: number,
): { low: number; high: number } {
  return { low: lowerBound(shard, query, from, length), high: upperBound(shard, query, from, length) };
}

/** Query tokens as they stand in shards. */
export function shifted(tokenIds: ArrayLike<number>): Int32Array {
  return Int32Array.from(tokenIds, (token) => token + tokenShift);
}

/** The record a place in `text` belongs to. */
export function recordAt({ starts }: Shard, place: number): number {
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= place) low = middle;
    else high = middle;
  }
  return low;
}

function commonLength({ text }: Shard, place: number, query: Int32Array, from: number): number {
  let length = 0;
  while (
    from + length < query.length &&
    place + length < text.length &&
    text[place + length] === query[from + length]
  )
    length++;
  return length;
}

/** First rank whose suffix is not below query[from, from + length). */
function lowerBound(shard: Shard, query: Int32Array, from: number, length: number): number {
  return partition(shard, (place) => compare(shard, place, query, from, length) < 0);
}

/** First rank whose suffix is above all that begin with it. */
function upperBound(shard: Shard, query: Int32Array, from: number, length: number): number {
  return partition(shard, (place) => compare(shard, place, query, from, length) <= 0);
}

function partition({ order }: Shard, isBelow: (place: number) => boolean): number {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(order[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sign of (suffix cut to `length`) − query part; a suffix that ends within it is below. */
function compare({ text }: Shard, place: number, query: Int32Array, from: number, length: number): number {
  for (let i = 0; i < length; i++) {
    if (place + i >= text.length) return -1;
    const difference = text[place + i]! - query[from + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
