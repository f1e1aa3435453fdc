import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findQuotes, markers } from "./citation.ts";

const passages = [
  "The writer flushes its buffer when the stream is closed.",
  "A token is a run of letters or digits, and the parser reads one token at a time.",
];

describe("findQuotes", () => {
  it("finds the quoted span in answer and passage", () => {
    const answer = "It says that the parser reads one token at a time.";
    const [quote] = findQuotes(answer, passages);
    expect(quote?.passage).toBe(1);
    expect(answer.slice(quote!.answerStart, quote!.answerEnd)).toBe(quote!.quote);
    expect(passages[1]!.slice(quote!.charStart, quote!.charEnd)).toBe(quote!.quote);
    expect(quote?.quote).toBe("the parser reads one token at a time.");
  });

  it("cites a short answer that is a whole word of a passage, and not a piece of a word", () => {
    expect(findQuotes("letters", passages)).toEqual([
      { passage: 1, quote: "letters", answerStart: 0, answerEnd: 7, charStart: 20, charEnd: 27 },
    ]);
    expect(findQuotes("etter", passages)).toEqual([]);
    expect(findQuotes('"one token"', passages)[0]?.quote).toBe("one token");
  });

  it("cites two passages in the order of the answer", () => {
    const answer = "A token is a run of letters; the writer flushes its buffer too.";
    expect(findQuotes(answer, passages).map(({ passage }) => passage)).toEqual([1, 0]);
  });

  it("cites the first of two passages that hold the same words", () => {
    const twice = ["before this sentence stands twice after", "this sentence stands twice"];
    expect(findQuotes("this sentence stands twice", twice).map(({ passage }) => passage)).toEqual([0]);
  });

  it("cites nothing that is in no passage", () => {
    expect(findQuotes("Bananas are yellow and rather long.", passages)).toEqual([]);
    expect(findQuotes("", passages)).toEqual([]);
    expect(findQuotes("...", passages)).toEqual([]);
    expect(findQuotes("anything", [])).toEqual([]);
  });

  it("only ever returns substrings of both texts, without overlap", () => {
    const text = fc
      .array(fc.constantFrom("alpha ", "beta, ", "gamma", " delta", "é"), { maxLength: 14 })
      .map((w) => w.join(""));
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 4 }), (answer, given) => {
        const quotes = findQuotes(answer, given);
        for (const [i, q] of quotes.entries()) {
          expect(answer.slice(q.answerStart, q.answerEnd)).toBe(q.quote);
          expect(given[q.passage]!.slice(q.charStart, q.charEnd)).toBe(q.quote);
          if (i > 0) expect(q.answerStart).toBeGreaterThanOrEqual(quotes[i - 1]!.answerEnd);
        }
      }),
    );
  });
});

describe("markers", () => {
  it("numbers citations from one after the answer", () => {
    expect(markers(0)).toBe("");
    expect(markers(2)).toBe(" [1][2]");
  });
});

it("cuts no character in two: two signs that begin alike are not half the same", () => {
  const [same, answer] = [
    "audited by an independent security firm",
    "audited by an independent security firm 🔻 no",
  ];
  const quotes = findQuotes(answer, [`Lib ${same} 🔒 yes`]);
  expect(quotes.map(({ quote }) => quote)).toEqual([same]);
  expect(quotes.every(({ quote }) => quote.isWellFormed())).toBe(true);
});
