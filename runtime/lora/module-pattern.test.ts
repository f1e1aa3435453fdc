import fc from "fast-check";
import { expect, it } from "vitest";
import { decodePatterns } from "./module-pattern.ts";

function find(entries: [string, number][], name: string): number | undefined {
  const decoded = decodePatterns(entries);
  if (!decoded.ok) throw new TypeError(decoded.reason);
  return decoded.patterns.find(name);
}

const name = "model.layers.1.self_attn.q_proj";

it.each<[string, boolean]>([
  ["q_proj", true],
  ["self_attn.q_proj", true],
  ["self_attn\\.q_proj", true],
  ["self_attn.q.proj", true],
  ["self_attn\\.q\\.proj", false],
  ["^model.layers.1.self_attn.q_proj$", true],
  ["^self_attn.q_proj", false],
  ["attn.q_proj", false],
  ["layers.1", false],
  ["model\\.layers\\.\\d+\\.self_attn\\.q_proj", true],
  ["layers.(0|2).self_attn.q_proj", false],
  ["self_attn.(?:q|k)_proj", true],
  [".*q_proj", true],
  ["[qk]_proj|o_proj", true],
])("matches %s as Python's re.match does in PEFT: %s", (pattern, matches) => {
  expect(find([[pattern, 3]], name)).toBe(matches ? 3 : undefined);
});

it("takes the first pattern that matches", () => {
  expect(
    find(
      [
        ["k_proj", 1],
        ["layers.1.self_attn.q_proj", 2],
        ["q_proj", 3],
      ],
      name,
    ),
  ).toBe(2);
});

it.each([
  "(a+)+$",
  "(.*)*x",
  ".*.*x",
  "a{2,99999}",
  "(?<=a)b",
  "(?=a)b",
  "\\1",
  "(a",
  "a)",
  "[a",
  "+",
  "x".repeat(257),
])("refuses %s", (pattern) => {
  expect(decodePatterns([[pattern, 1]]).ok).toBe(false);
});

it("takes no more searches than a few, and any number of names", () => {
  const searches = Array.from({ length: 5 }, (_, index): [string, number] => [`[ab]${index}`, 1]);
  expect(decodePatterns(searches).ok).toBe(false);
  const plain = Array.from({ length: 2000 }, (_, index): [string, number] => [
    `layers.${index}.q_proj`,
    index,
  ]);
  expect(find(plain, "model.layers.1999.q_proj")).toBe(1999);
});

it("never throws and never runs for long, whatever the pattern", () => {
  const pieces = fc.array(
    fc.constantFrom("a", ".", ".*", "\\.", "(", ")", "|", "+", "[", "]", "a+", "?", "^", "$"),
  );
  const hostile = "a.".repeat(80);
  fc.assert(
    fc.property(pieces, (parts) => {
      const decoded = decodePatterns([[parts.join(""), 1]]);
      const started = performance.now();
      if (decoded.ok) decoded.patterns.find(hostile);
      expect(performance.now() - started).toBeLessThan(2000);
    }),
    { seed: 9, numRuns: 2000 },
  );
});
