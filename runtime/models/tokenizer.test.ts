import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";

type Vectors = { encoded: { text: string; ids: number[] }[] };

const read = (name: string) => JSON.parse(readFileSync(new URL(`./quote/${name}`, import.meta.url), "utf8"));
const vectors: Vectors = read("vectors.json");
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));

describe("the quote model's tokenizer", () => {
  it("gives in JavaScript the ids that Python gave, for every vector", () => {
    expect(vectors.encoded.length).toBeGreaterThanOrEqual(200);
    for (const { text, ids } of vectors.encoded) expect(tokenizer.encode(text).ids, text).toEqual(ids);
  });

  it("decodes ids to the text they came from", () => {
    for (const { text, ids } of vectors.encoded) if (ids.length > 0) expect(tokenizer.decode(ids)).toBe(text);
  });
});
