import { expect, it } from "vitest";
import { buildShard } from "./shard.ts";
import { findSpans, unigramOf } from "./spans.ts";
import { Vocabulary, wordsOf } from "./words.ts";

it("tells where each word stands, in UTF-16 units", () => {
  const text = "  A 🚢 enters\tafter\nsunset. ";
  const words = wordsOf(text);
  expect(words.map(({ text }) => text)).toEqual(["A", "🚢", "enters", "after", "sunset."]);
  for (const { text: word, start, end } of words) expect(text.slice(start, end)).toBe(word);
  expect(wordsOf(" \n")).toEqual([]);
});

it("matches a record's words whatever stands between them, and an unknown word with nothing", () => {
  const vocabulary = new Vocabulary();
  const record = "the harbour master keeps a ledger of every ship";
  const shards = [buildShard([{ id: "r", tokenIds: vocabulary.add(wordsOf(record)) }])];
  const answer = wordsOf("He says: the harbour\nmaster keeps  a diary, a diary");
  const tokens = vocabulary.read(answer);
  const [span, ...more] = findSpans(shards, unigramOf(shards), tokens, 1);
  expect(answer.slice(span!.start, span!.start + span!.length).map(({ text }) => text)).toEqual([
    "the",
    "harbour",
    "master",
    "keeps",
    "a",
  ]);
  expect(span!.occurrences).toEqual([{ recordId: "r", start: 0 }]);
  expect(more.every(({ length }) => length === 1)).toBe(true);
  expect(vocabulary.read(wordsOf("diary"))).toEqual([2 ** 30]);
});

it("gives the same ids where its words take several maps", () => {
  const [one, several] = [new Vocabulary(), new Vocabulary({ entriesMax: 3 })];
  for (const text of ["a b c d", "d e a f g", "h a g i j", "b"]) {
    const words = wordsOf(text);
    expect(several.add(words)).toEqual(one.add(words));
  }
  expect(several.size).toBe(10);
  expect(several.read(wordsOf("j k a"))).toEqual(one.read(wordsOf("j k a")));
});
