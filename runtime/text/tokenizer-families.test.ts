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
  const lame = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const added = (count: number, length: number) =>
    Array.from({ length: count }, (_, index) => ({ id: index, content: String(index).padEnd(length, "x") }));

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
    ["has an endless added token", { added_tokens: [{ id: 1, content: "x".repeat(5000) }] }],
    ["has an endless token", { model: { type: "BPE", vocab: { ["x".repeat(5000)]: 1 }, merges: [] } }],
    ["has an endless merge", { model: { type: "BPE", vocab: { a: 0 }, merges: [["a".repeat(5000), "a"]] } }],
    ["has merges that are none", { model: { type: "BPE", vocab: { a: 0 }, merges: [1, 2] } }],
    ["has a hundred thousand added tokens", { added_tokens: added(100_000, 6) }],
    ["has added tokens that are long together", { added_tokens: added(16_000, 200) }],
    ["has an unknown step", { pre_tokenizer: { type: "Shuffle" } }],
    ["cuts text into pieces of no length, for ever", { pre_tokenizer: { type: "FixedLength", length: 0 } }],
    ["spells a space as a long text", { pre_tokenizer: { type: "Metaspace", str_rep: "x".repeat(2 ** 20) } }],
    [
      "spells bytes of bytes of bytes",
      { pre_tokenizer: { type: "Sequence", pretokenizers: new Array(30).fill({ type: "ByteLevel" }) } },
    ],
    ["tries every piece of a word", { model: { type: "WordPiece", vocab: { a: 0 }, merges: [] } }],
    ["ends words with a long text", { model: { ...lame, end_of_word_suffix: "x".repeat(2 ** 20) } }],
    ["is nested beyond measure", { normalizer: JSON.parse("[".repeat(10_000) + "]".repeat(10_000)) }],
    ["replaces nothing known", { normalizer: { type: "Replace", content: "" } }],
  ])("is refused when it %s", async (_, changes) => {
    const file = await fileOf("llama-2");
    expect(() => createTokenizer({ ...file, ...changes }, {})).toThrow(
      expect.objectContaining({ code: "tokenizer-failed", retryable: false }),
    );
  });

  it("does not repeat a text that its post-processor names a thousand times", async () => {
    const file = await fileOf("llama-2");
    const single = new Array(1000).fill({ Sequence: { id: "A", type_id: 0 } });
    const post_processor = { type: "TemplateProcessing", single, pair: [], special_tokens: {} };
    const ids = createTokenizer(file, {}).encode("a river");
    expect(createTokenizer({ ...file, post_processor }, {}).encode("a river")).toEqual(ids);
  });

  it("is not held up by half a million further names in tokenizer_config.json", async () => {
    const additional_special_tokens = Array.from({ length: 500_000 }, (_, index) => `<${index}>`);
    const started = process.cpuUsage();
    createTokenizer(await fileOf("llama-2"), { additional_special_tokens });
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(5);
  });

  it("decodes no more than fits in memory", async () => {
    const file = (await fileOf("llama-2")) as { model: { vocab: object } };
    const vocab = { ...file.model.vocab, ["x".repeat(1000)]: 9999 };
    const tokenizer = createTokenizer({ ...file, model: { ...file.model, vocab } }, {});
    expect(tokenizer.decode([9999])).toHaveLength(1000);
    expect(() => tokenizer.decode(new Array(20_000).fill(9999))).toThrow(/too much to decode/);
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
