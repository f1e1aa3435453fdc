import fc from "fast-check";
import { type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { build, type IndexedChunk, rank } from "./rank.ts";

const chunk = (text: string, salt = 0): IndexedChunk => ({ id: keccak256(toHex(`${salt}:${text}`)), text });
const texts = [
  "The parser reads one token at a time.",
  "A token is a run of letters or digits.",
  "The writer flushes its buffer on close.",
  "Close the stream to release the file handle.",
  "Buffers are reused between calls of the writer.",
];

describe("rank", () => {
  it("puts the chunk that answers first and leaves out chunks that share no term", async () => {
    const index = await build(texts.map((text) => chunk(text)));
    const ranked = rank(index, "What does the writer flush on close?", 8);
    expect(ranked[0]?.chunkId).toBe(chunk(texts[2]!).id);
    expect(rank(index, "zebra", 8)).toEqual([]);
    expect(rank(index, "", 8)).toEqual([]);
    expect(rank(await build([]), "writer", 8)).toEqual([]);
  });

  it("cuts at the count and never repeats a chunk", async () => {
    const index = await build(texts.map((text) => chunk(text)));
    const two = rank(index, "the writer token close", 2);
    expect(two).toHaveLength(2);
    expect(rank(index, "the writer token close", 8).slice(0, 2)).toEqual(two);
  });

  it("orders equal scores by chunk id", async () => {
    const copies = Array.from({ length: 12 }, (_, salt) => chunk("the same words in each", salt));
    const ids = rank(await build(copies), "same words", 12).map(({ chunkId }) => chunkId);
    expect(ids).toEqual(copies.map(({ id }) => id).sort());
  });

  it("does not depend on the order in which the chunks arrived", async () => {
    const word = fc.constantFrom("alpha", "beta", "gamma", "delta", "epsilon", "zeta");
    const sets = fc.uniqueArray(
      fc.array(word, { minLength: 1, maxLength: 9 }).map((words) => words.join(" ")),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(sets, fc.array(word, { maxLength: 6 }), async (set, question) => {
        const chunks = set.map((text) => chunk(text));
        const forwards = rank(await build(chunks), question.join(" "), 8);
        const backwards = rank(await build([...chunks].reverse()), question.join(" "), 8);
        expect(backwards).toEqual(forwards);
      }),
      { numRuns: 60 },
    );
  });

  it("scores every match as a scan over all chunks would", async () => {
    const chunks = texts.map((text) => chunk(text));
    const index = await build(chunks);
    for (const { chunkId, scoreMicro } of rank(index, "close the writer", 8)) {
      expect(scoreMicro).toBe(
        BigInt(Math.round(1e6 * scanScore(chunks, chunkId, ["close", "the", "writer"]))),
      );
    }
  });
});

/** BM25+ straight from its formula, over plain arrays, times the number of terms matched. */
function scanScore(chunks: readonly IndexedChunk[], id: Hex, terms: readonly string[]): number {
  const [k, b, delta] = [1.2, 0.7, 0.5];
  const raw = new Map(chunks.map((c) => [c.id, c.text.split(/[\s.]+/)]));
  const words = new Map([...raw].map(([key, list]) => [key, list.map((word) => word.toLowerCase())]));
  const length = (of: Hex) => new Set(raw.get(of)).size;
  const meanLength = chunks.reduce((sum, c) => sum + length(c.id), 0) / chunks.length;
  const matched = terms.filter((term) => words.get(id)!.includes(term)).length;
  return (
    matched *
    terms.reduce((score, term) => {
      const frequency = words.get(id)!.filter((word) => word === term).length;
      if (frequency === 0) return score;
      const matching = chunks.filter((c) => words.get(c.id)!.includes(term)).length;
      const inverse = Math.log(1 + (chunks.length - matching + 0.5) / (matching + 0.5));
      return (
        score +
        inverse * (delta + (frequency * (k + 1)) / (frequency + k * (1 - b + (b * length(id)) / meanLength)))
      );
    }, 0)
  );
}
