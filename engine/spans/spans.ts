import { log } from "#runtime/inference/exponential";
import { longestMatch, rangeOf, recordAt, type Shard, shifted } from "./shard.ts";

/** A span says something only if chance would hardly write it: nats of surprise of its tokens, each by its frequency. */
export const spanNatsMin = 12;

/** A span that stands in more places is a commonplace: it is counted, and credits nobody. */
export const occurrencesMax = 1_000;

/** Where a span stands: which record, and from which of its tokens on. */
export type Occurrence = { readonly recordId: string; readonly start: number };

/**
 * Tokens [start, start + length) of the answer that stand word for word in the records, and are part of no longer such
 * span. `occurrences` by shard and place; empty where there are more than `occurrencesMax`.
 */
export type Span = {
  readonly start: number;
  readonly length: number;
  readonly surpriseNats: number;
  readonly occurrenceCount: number;
  readonly occurrences: readonly Occurrence[];
};

/** Frequencies of tokens over all shards, for −ln p of one. */
export type Unigram = { readonly counts: Int32Array; readonly total: number };

export function unigramOf(shards: readonly Shard[]): Unigram {
  const largest = shards.reduce((peak, { text }) => text.reduce((a, b) => Math.max(a, b), peak), 0);
  const counts = new Int32Array(largest + 1);
  let total = 0;
  for (const { text, recordIds } of shards) {
    for (let i = 0; i < text.length; i++) counts[text[i]!]!++;
    total += text.length - recordIds.length;
  }
  return { counts, total };
}

/** Length of the longest match that starts at each token of the answer, over all shards. */
export function matchLengths(shards: readonly Shard[], tokenIds: ArrayLike<number>): Int32Array {
  const query = shifted(tokenIds);
  return query.map((_, from) =>
    shards.reduce((most, shard) => Math.max(most, longestMatch(shard, query, from)), 0),
  );
}

/** All maximal spans of the answer whose surprise is at least `natsMin`, by start. None lies within another. */
export function findSpans(
  shards: readonly Shard[],
  unigram: Unigram,
  tokenIds: ArrayLike<number>,
  natsMin = spanNatsMin,
): Span[] {
  const query = shifted(tokenIds);
  const lengths = matchLengths(shards, tokenIds);
  const spans: Span[] = [];
  let end = 0;
  lengths.forEach((length, start) => {
    if (length === 0 || start + length <= end) return;
    end = start + length;
    const surpriseNats = surprises(unigram, query.subarray(start, end)).reduce((a, b) => a + b, 0);
    if (surpriseNats < natsMin) return;
    spans.push({ start, length, surpriseNats, ...occurrencesOf(shards, query, start, length) });
  });
  return spans;
}

/** Credit of each class of duplicates, in nats of surprise, descending, ties by class. */
export type SpanCredit = { readonly classId: string; readonly nats: number };

/**
 * Share the answer's copied surprise: each token's is split equally over the spans that hold it, each span's equally over
 * the classes of records that have it, so the credits never sum to more than the answer's surprise and copies of a record
 * gain nothing. Commonplaces credit nobody. Labelled verbatim: that a text was copied, not that it moved the answer.
 */
export function creditSpans(
  spans: readonly Span[],
  unigram: Unigram,
  tokenIds: ArrayLike<number>,
  classOf: (recordId: string) => string,
): SpanCredit[] {
  const telling = spans.filter(({ occurrences }) => occurrences.length > 0);
  const covers = new Int32Array(tokenIds.length);
  for (const { start, length } of telling) for (let i = start; i < start + length; i++) covers[i]!++;
  const nats = surprises(unigram, shifted(tokenIds));
  const credits = new Map<string, number>();
  for (const { start, length, occurrences } of telling) {
    const classes = [...new Set(occurrences.map(({ recordId }) => classOf(recordId)))].sort();
    let share = 0;
    for (let i = start; i < start + length; i++) share += nats[i]! / covers[i]!;
    for (const id of classes) credits.set(id, (credits.get(id) ?? 0) + share / classes.length);
  }
  return [...credits]
    .map(([classId, credited]) => ({ classId, nats: credited }))
    .sort((a, b) => b.nats - a.nats || (a.classId < b.classId ? -1 : 1));
}

/** −ln p of each token; one that no record has counts as one seen once. */
function surprises({ counts, total }: Unigram, query: Int32Array): Float64Array {
  return Float64Array.from(query, (token) => log(Math.max(total, 1)) - log(Math.max(counts[token] ?? 0, 1)));
}

function occurrencesOf(shards: readonly Shard[], query: Int32Array, start: number, length: number) {
  const found = shards.map((shard) => ({ shard, ...rangeOf(shard, query, start, length) }));
  const occurrenceCount = found.reduce((count, { low, high }) => count + high - low, 0);
  if (occurrenceCount > occurrencesMax) return { occurrenceCount, occurrences: [] };
  const occurrences = found.flatMap(({ shard, low, high }) =>
    [...shard.order.subarray(low, high)]
      .sort((a, b) => a - b)
      .map((place) => {
        const record = recordAt(shard, place);
        return { recordId: shard.recordIds[record]!, start: place - shard.starts[record]! };
      }),
  );
  return { occurrenceCount, occurrences };
}
