import { invariant } from "#schema/errors";

/** Most tokens of one array: sorting takes about 20 bytes a token. More stand in more shards. */
export const shardTokensMax = 5_000_000;

/**
 * Starts of all suffixes of `text` in the order of the suffixes, a suffix before its extensions. Entries of `text` lie in
 * [1, alphabet); linear time by induced sorting, recursive, on typed arrays. Source: Nong, Zhang & Chan 2009 (SA-IS).
 */
export function suffixArray(text: Int32Array, alphabet: number): Int32Array {
  invariant(text.length <= shardTokensMax, `at most ${shardTokensMax} tokens, got ${text.length}`);
  const ended = new Int32Array(text.length + 1);
  ended.set(text);
  const sorted = new Int32Array(ended.length);
  sort(ended, alphabet, sorted);
  return sorted.subarray(1);
}

/** `text` ends in 0, its only one. */
function sort(text: Int32Array, alphabet: number, sorted: Int32Array): void {
  const n = text.length;
  if (n === 1) return void sorted.fill(0);
  const coded = withTypes(text);
  const ends = new Int32Array(alphabet);
  for (let i = 0; i < n; i++) ends[text[i]!]!++;
  for (let c = 1; c < alphabet; c++) ends[c]! += ends[c - 1]!;

  // Sort the substrings between leftmost small positions: any order of the positions induces it.
  sorted.fill(-1);
  const tails = Int32Array.from(ends);
  for (let i = n - 1; i > 0; i--) if (isLeftmost(coded, i)) sorted[--tails[text[i]!]!] = i;
  induce(coded, ends, sorted);

  let count = 0;
  for (let i = 0; i < n; i++) {
    const place = sorted[i]!;
    if (isLeftmost(coded, place)) sorted[count++] = place;
  }
  const positions = orderedPositions(coded, sorted, count);

  // Now the suffixes at these positions are in order, and induce the order of all.
  sorted.fill(-1);
  tails.set(ends);
  for (let i = count - 1; i >= 0; i--) sorted[--tails[text[positions[i]!]!]!] = positions[i]!;
  induce(coded, ends, sorted);
}

/** Twice each letter, plus 1 where the suffix is smaller than the next one: one look in memory tells both. */
function withTypes(text: Int32Array): Int32Array {
  const coded = new Int32Array(text.length);
  coded[text.length - 1] = 1;
  for (let i = text.length - 2; i >= 0; i--) {
    const [here, next] = [text[i]!, text[i + 1]!];
    const isSmall = here < next || (here === next && (coded[i + 1]! & 1) === 1);
    coded[i] = here * 2 + (isSmall ? 1 : 0);
  }
  return coded;
}

function isLeftmost(coded: Int32Array, i: number): boolean {
  return i > 0 && (coded[i]! & 1) === 1 && (coded[i - 1]! & 1) === 0;
}

/** From the sorted leftmost small suffixes: the large ones by a scan upwards, then the small ones by a scan downwards. */
function induce(coded: Int32Array, ends: Int32Array, sorted: Int32Array): void {
  const n = coded.length;
  const heads = new Int32Array(ends.length);
  heads.set(ends.subarray(0, ends.length - 1), 1);
  for (let i = 0; i < n; i++) {
    const before = sorted[i]! - 1;
    if (before < 0) continue;
    const code = coded[before]!;
    if ((code & 1) === 0) sorted[heads[code >> 1]!++] = before;
  }
  const tails = Int32Array.from(ends);
  for (let i = n - 1; i >= 0; i--) {
    const before = sorted[i]! - 1;
    if (before < 0) continue;
    const code = coded[before]!;
    if ((code & 1) === 1) sorted[--tails[code >> 1]!] = before;
  }
}

/**
 * The leftmost small positions in the order of their suffixes, given (in the front of `sorted`) in the order of their
 * substrings up to the next such position. Equal substrings get one name; names that repeat are sorted by recursion.
 */
function orderedPositions(coded: Int32Array, sorted: Int32Array, count: number): Int32Array {
  const n = coded.length;
  // No two leftmost positions are neighbours, so half a place each is enough for the names.
  const names = new Int32Array((n >> 1) + 1).fill(-1);
  let name = 0;
  names[sorted[0]! >> 1] = 0;
  for (let i = 1; i < count; i++) {
    if (!isSameSubstring(coded, sorted[i - 1]!, sorted[i]!)) name++;
    names[sorted[i]! >> 1] = name;
  }
  if (name + 1 === count) return sorted.slice(0, count);
  const starts = new Int32Array(count);
  const reduced = new Int32Array(count);
  let next = 0;
  for (let i = 1; i < n; i++) {
    if (!isLeftmost(coded, i)) continue;
    starts[next] = i;
    reduced[next++] = names[i >> 1]!;
  }
  const order = new Int32Array(count);
  sort(reduced, name + 1, order);
  return order.map((index) => starts[index]!);
}

function isSameSubstring(coded: Int32Array, a: number, b: number): boolean {
  for (let i = 0; a + i < coded.length && b + i < coded.length; i++) {
    if (coded[a + i] !== coded[b + i]) return false;
    if (i > 0 && isLeftmost(coded, a + i)) return isLeftmost(coded, b + i);
  }
  return false;
}
