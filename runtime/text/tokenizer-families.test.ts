import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTextStream } from "./text-stream.ts";
import { createTokenizer, type Tokenizer, TokenizerError } from "./tokenizer.ts";

interface Golden {
  texts: { text: string; ids: number[]; decoded: string }[];
  specials: { text: string; ids: number[] }[];
  random: { ids: number[]; decoded: string }[];
}
const fixtures = join(import.meta.dirname, "fixtures");
const golden: Record<string, Golden> = JSON.parse(
  await readFile(join(fixtures, "golden-tokenizers.json"), "utf8"),
);
const names = Object.keys(golden);

async function fileOf(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(fixtures, `tokenizers/${name}.json`), "utf8"));
}

const open = async (name: string): Promise<Tokenizer> => createTokenizer(await fileOf(name), {});

describe.each(names)("a tokenizer in the shape of %s", (name) => {
  it("gives the ids that the reference implementation gives", async () => {
    const tokenizer = await open(name);
    for (const { text, ids } of golden[name]!.texts) expect(tokenizer.encode(text), text).toEqual(ids);
  });

  it("gives the special tokens' ids, and those around them, where their spellings are meant as such", async () => {
    const tokenizer = await open(name);
    for (const { text, ids } of golden[name]!.specials) {
      expect(tokenizer.encode(tokenizer.split(text)), text).toEqual(ids);
    }
  });

  it("gives the text that the reference implementation gives, also for ids that are no text", async () => {
    const tokenizer = await open(name);
    for (const { ids, decoded } of [...golden[name]!.texts, ...golden[name]!.random]) {
      expect(tokenizer.decode(ids), JSON.stringify(ids)).toBe(decoded);
    }
  });

  it("streams its texts piece by piece", async () => {
    const tokenizer = await open(name);
    for (const { ids, decoded } of golden[name]!.texts) {
      const stream = createTextStream(tokenizer);
      expect(ids.map((id) => stream.push(id)).join("") + stream.end(), decoded).toBe(decoded);
    }
    const long = tokenizer.encode("The river gives 12 things: 雨, été and 🌊. ".repeat(40));
    const stream = createTextStream(tokenizer);
    expect(long.map((id) => stream.push(id)).join("") + stream.end()).toBe(tokenizer.decode(long));
  });

  it("makes no special token of text that spells one", async () => {
    const tokenizer = await open(name);
    const specialIds = tokenizer.specialSpellings.map((spelling) => tokenizer.specialTokenId(spelling));
    for (const spelling of tokenizer.specialSpellings) {
      const ids = tokenizer.encode(`a${spelling}b ${spelling}`);
      expect(
        ids.filter((id) => specialIds.includes(id) && spelling !== "<unk>"),
        spelling,
      ).toEqual([]);
    }
  });
});

describe("a tokenizer.json that means ill", () => {
  const replace = (from: string, to: string) => ({ type: "Replace", pattern: { String: from }, content: to });
  const sequence = (...normalizers: object[]) => ({ type: "Sequence", normalizers });

  it.each<[string, object]>([
    [
      "makes text longer and longer",
      { normalizer: sequence(...Array.from({ length: 20 }, () => replace("a", "aa"))) },
    ],
    ["puts in a long text", { normalizer: replace("a", "a".repeat(1000)) }],
    ["puts in what was before", { normalizer: replace("a", "$`") }],
    ["looks for nothing", { normalizer: replace("", "a") }],
    [
      "has thousands of steps",
      { normalizer: sequence(...Array.from({ length: 5000 }, () => ({ type: "NFKC" }))) },
    ],
    [
      "lengthens when decoding",
      { decoder: { type: "Sequence", decoders: [replace("▁", "x".repeat(60)), replace("x", "yy")] } },
    ],
    ["prepends a text", { normalizer: { type: "Prepend", prepend: "x".repeat(500) } }],
    ["has an endless token", { added_tokens: [{ id: 1, content: "x".repeat(5000) }] }],
    ["has an unknown step", { pre_tokenizer: { type: "Shuffle" } }],
    ["has merges that are none", { model: { type: "BPE", vocab: { a: 0 }, merges: [1, 2] } }],
  ])("is refused when it %s", async (_, changes) => {
    const file = await fileOf("llama-2");
    expect(() => createTokenizer({ ...file, ...changes }, {})).toThrow(
      expect.objectContaining({ code: "tokenizer-failed", retryable: false }),
    );
  });

  it("gives a tokenizer or a typed error, whatever is changed in it", async () => {
    const file = await fileOf("gemma");
    const keys = [
      "type",
      "vocab",
      "merges",
      "normalizer",
      "pre_tokenizer",
      "decoder",
      "model",
      "added_tokens",
      "pattern",
      "content",
      "byte_fallback",
      "unk_token",
      "ignore_merges",
      "prepend_scheme",
      "decoders",
      "special",
    ];
    const change = fc.tuple(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 }));
    const replaceKey = (json: unknown, key: string, value: unknown): unknown => {
      if (Array.isArray(json)) return json.map((item) => replaceKey(item, key, value));
      if (typeof json !== "object" || json === null) return json;
      return Object.fromEntries(
        Object.entries(json).map(([name, item]) => [
          name,
          name === key ? value : replaceKey(item, key, value),
        ]),
      );
    };
    fc.assert(
      fc.property(change, fc.string({ maxLength: 20 }), ([key, value], text) => {
        try {
          const tokenizer = createTokenizer(replaceKey(file, key, value), {});
          tokenizer.decode(tokenizer.encode(text));
        } catch (error) {
          if (!(error instanceof TokenizerError)) throw error;
        }
      }),
      { seed: 14, numRuns: 150 },
    );
  });
});

describe("time", () => {
  it.each(names)("is spent in proportion to the text by %s, whatever the text", async (name) => {
    const tokenizer = await open(name);
    for (const unit of [" ", "\n", "a", "1", "é", "!", " a", " \n", "'", "▁"]) {
      const started = performance.now();
      tokenizer.encode(unit.repeat(30_000));
      expect(performance.now() - started, JSON.stringify(unit)).toBeLessThan(10_000);
    }
  });
});
