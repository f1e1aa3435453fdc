import fc from "fast-check";
import { expect, it } from "vitest";
import { chunkCharactersMax, chunkMarkdown, splitSentences } from "./chunking.ts";

const prose = "A chunk is the unit of retrieval, and everyone who wrote one is paid for it.";

it("keeps prose and drops code, tables, badges, HTML and front matter", () => {
  const markdown = [
    "---\ntitle: x\n---\n# Heading\n[![badge](a.svg)](b)\n<p>html</p>\n",
    `${prose}\n\n\`\`\`js\nconst secret = 1;\n\`\`\`\n\n    indented code\n\n| a | b |\n|---|---|\n`,
    `See [the manual](https://example.org) for the rest of this long story.`,
  ].join("\n");
  expect(chunkMarkdown(markdown)).toEqual([`${prose} See the manual for the rest of this long story.`]);
});

it("packs sentences up to 280 characters and starts a new chunk beyond", () => {
  const chunks = chunkMarkdown(Array(8).fill(prose).join(" "));
  expect(chunks.map((chunk) => splitSentences(chunk).length)).toEqual([3, 3, 2]);
});

it("cuts a sentence longer than a chunk at a space", () => {
  const chunks = chunkMarkdown("word ".repeat(100));
  expect(chunks.every((chunk) => chunk.length <= chunkCharactersMax && !/\s\s|^\s|\s$/.test(chunk))).toBe(
    true,
  );
  expect(chunks.join(" ").split(" ")).toHaveLength(100);
});

it("does not end a sentence at an abbreviation", () => {
  expect(splitSentences("Use a name, e.g. alpha. Then stop.")).toEqual([
    "Use a name, e.g. alpha.",
    "Then stop.",
  ]);
});

it("gives chunks of at most 280 characters with single spaces for any text", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2_000, unit: "grapheme" }), (text) => {
      for (const chunk of chunkMarkdown(text)) {
        expect([...chunk].length).toBeLessThanOrEqual(chunkCharactersMax);
        expect(chunk).toBe(chunk.replace(/\s+/gu, " ").trim());
      }
    }),
  );
});
