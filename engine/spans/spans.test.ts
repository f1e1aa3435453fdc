import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildShard, shifted, type TokenRecord } from "./shard.ts";
import { creditSpans, findSpans, matchLengths, occurrencesMax, unigramOf } from "./spans.ts";
import { suffixArray } from "./suffix-array.ts";

const texts = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 60 }))
  .chain(([alphabet, length]) => fc.array(fc.integer({ min: 1, max: alphabet }), { maxLength: length }));
const token = fc.integer({ min: 0, max: 4 });
const corpora = fc.array(fc.array(token, { maxLength: 14 }), { minLength: 1, maxLength: 6 });

function recordsOf(corpus: readonly number[][]): TokenRecord[] {
  return corpus.map((tokenIds, index) => ({ id: `r${index}`, tokenIds }));
}

/** All places where tokens [start, start + length) of the answer stand, by looking everywhere. */
function places(corpus: readonly number[][], part: readonly number[]) {
  return corpus.flatMap((record, index) =>
    record.flatMap((_, start) =>
      start + part.length <= record.length && part.every((t, i) => record[start + i] === t)
        ? [{ recordId: `r${index}`, start }]
        : [],
    ),
  );
}

function longestByForce(corpus: readonly number[][], answer: readonly number[], from: number): number {
  let length = 0;
  while (from + length < answer.length && places(corpus, answer.slice(from, from + length + 1)).length > 0)
    length++;
  return length;
}

describe("suffix array", () => {
  it("sorts the suffixes as comparing them all would", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const expected = text
          .map((_, i) => i)
          .sort((a, b) => {
            for (let i = 0; ; i++) {
              const [x, y] = [text[a + i] ?? 0, text[b + i] ?? 0];
              if (x !== y) return x - y;
            }
          });
        expect([...suffixArray(Int32Array.from(text), 7)]).toEqual(expected);
      }),
      { numRuns: 600 },
    );
  });

  it("sorts what repeats: one token, periods, Fibonacci words", () => {
    for (const word of ["a".repeat(300), "ab".repeat(200), "abaab".repeat(90), fibonacci(14)]) {
      const text = Int32Array.from(word, (letter) => letter.charCodeAt(0) - 96);
      const sorted = [...suffixArray(text, 3)].map((i) => word.slice(i));
      for (let i = 1; i < sorted.length; i++) expect(sorted[i - 1]! < sorted[i]!).toBe(true);
    }
    expect(suffixArray(new Int32Array(0), 2).length).toBe(0);
  });
});

describe("spans", () => {
  it("have the longest match at every token that brute force finds, over one shard or more", () => {
    fc.assert(
      fc.property(
        corpora,
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 20 }),
        fc.nat(5),
        (corpus, answer, cut) => {
          const records = recordsOf(corpus);
          const expected = answer.map((_, from) => longestByForce(corpus, answer, from));
          expect([...matchLengths([buildShard(records)], answer)]).toEqual(expected);
          const shards = [records.slice(0, cut), records.slice(cut)].map(buildShard);
          expect([...matchLengths(shards, answer)]).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("find a match where the query sorts before the first suffix, and after the last", () => {
    const shard = buildShard([{ id: "a", tokenIds: [5, 6, 7] }]);
    expect([...matchLengths([shard], [5, 6, 0])]).toEqual([2, 1, 0]);
    expect([...matchLengths([shard], [0, 5, 6])]).toEqual([0, 2, 1]);
    expect([...matchLengths([shard], [7, 9])]).toEqual([1, 0]);
    expect([...matchLengths([buildShard([])], [1])]).toEqual([0]);
    expect(shifted([0])[0]).toBeGreaterThan(1);
  });

  it("are the maximal ones, with every place they stand in, and cross no record's end", () => {
    fc.assert(
      fc.property(corpora, fc.array(token, { maxLength: 20 }), (corpus, answer) => {
        const shards = [buildShard(recordsOf(corpus))];
        const found = findSpans(shards, unigramOf(shards), answer, 0);
        const lengths = answer.map((_, from) => longestByForce(corpus, answer, from));
        const expected = lengths.flatMap((length, start) => {
          const isMaximal = length > 0 && (start === 0 || start - 1 + lengths[start - 1]! < start + length);
          return isMaximal ? [{ start, length }] : [];
        });
        expect(found.map(({ start, length }) => ({ start, length }))).toEqual(expected);
        for (const { start, length, occurrences, occurrenceCount } of found) {
          expect(occurrences).toEqual(places(corpus, answer.slice(start, start + length)));
          expect(occurrenceCount).toBe(occurrences.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("weigh by how unlikely their tokens are, and leave out what chance would write", () => {
    const corpus = [...Array.from({ length: 60 }, () => [1, 2]), [8, 9]];
    const shards = [buildShard(recordsOf(corpus))];
    const unigram = unigramOf(shards);
    const [common, rare] = findSpans(shards, unigram, [1, 2, 3, 8, 9], 0);
    expect(common!.surpriseNats).toBeCloseTo(2 * Math.log(122 / 60), 12);
    expect(rare!.surpriseNats).toBeCloseTo(2 * Math.log(122), 12);
    expect(findSpans(shards, unigram, [1, 2, 3, 8, 9], 5).map(({ start }) => start)).toEqual([3]);
  });

  it("credit classes of duplicates, never more than the answer's surprise in all, and copies gain nothing", () => {
    fc.assert(
      fc.property(
        corpora,
        fc.array(token, { minLength: 1, maxLength: 20 }),
        fc.nat(9),
        (corpus, answer, copies) => {
          const copied = [...corpus, ...Array.from({ length: copies }, () => corpus[0]!)];
          const records = recordsOf(copied);
          const shards = [buildShard(records)];
          const unigram = unigramOf([buildShard(recordsOf(corpus))]);
          const classOf = (id: string) => (Number(id.slice(1)) >= corpus.length ? "r0" : id);
          const spans = findSpans(shards, unigram, answer, 0);
          const credits = creditSpans(spans, unigram, answer, classOf);
          const surprise = answer.reduce(
            (sum, t) => sum + Math.log(Math.max(unigram.total, 1) / Math.max(unigram.counts[t + 2] ?? 0, 1)),
            0,
          );
          expect(credits.reduce((sum, { nats }) => sum + nats, 0)).toBeLessThanOrEqual(surprise + 1e-9);
          const alone = [buildShard(recordsOf(corpus))];
          const before = creditSpans(findSpans(alone, unigram, answer, 0), unigram, answer, classOf);
          expect(credits.map(({ classId }) => classId)).toEqual(before.map(({ classId }) => classId));
          credits.forEach(({ nats }, i) => {
            expect(nats).toBeCloseTo(before[i]!.nats, 9);
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  it("credit nobody for a commonplace", () => {
    const shards = [buildShard(recordsOf(Array.from({ length: occurrencesMax + 1 }, () => [1, 2])))];
    const unigram = unigramOf(shards);
    const [span] = findSpans(shards, unigram, [1, 2], 0);
    expect(span!.occurrenceCount).toBe(occurrencesMax + 1);
    expect(creditSpans([span!], unigram, [1, 2], (id) => id)).toEqual([]);
  });
});

function fibonacci(steps: number): string {
  let [a, b] = ["a", "b"];
  for (let i = 0; i < steps; i++) [a, b] = [b, b + a];
  return b;
}
