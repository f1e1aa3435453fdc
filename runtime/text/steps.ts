import { excerpt } from "#runtime/errors";
import { isKnownPattern } from "./patterns.ts";

/** Sequences of sequences, and steps in all: no real tokenizer goes near these. */
const depthMax = 16;
const stepCountMax = 64;

/** Longest literal that a step looks for or puts in, in characters. */
const literalLengthMax = 64;

/** How many times longer all steps together may make a text. Real ones put one character for one, and spell bytes. */
const growthMax = 16;

/** UTF-8 bytes of one UTF-16 unit, each spelled as a character. */
const byteLevelGrowth = 3;

/** The steps that published decoders' tokenizers have. Others of the library never end on some settings (FixedLength). */
const knownSteps: Readonly<Record<string, ReadonlySet<string>>> = {
  normalizer: new Set(["Lowercase", "NFC", "NFD", "Prepend", "Replace", "Sequence", "Strip", "StripAccents"]),
  pre_tokenizer: new Set([
    ...["ByteLevel", "Digits", "Metaspace", "Punctuation", "Replace", "Sequence", "Split"],
    ...["Whitespace", "WhitespaceSplit"],
  ]),
  decoder: new Set(["ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip"]),
};

/** The parts of a tokenizer.json that run on text and tokens. */
export interface TokenizerSteps {
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly decoder?: unknown;
  readonly [other: string]: unknown;
}

interface Count {
  steps: number;
  growth: number;
}

/**
 * Why the steps of a tokenizer.json must not run, or none: the file comes with a model folder, and its steps could
 * hold the caller's thread for ever or fill its memory. Pure.
 */
export function findUnsafeStep({ normalizer, pre_tokenizer, decoder }: TokenizerSteps): string | undefined {
  const encoding = { steps: 0, growth: 1 };
  const decoding = { steps: 0, growth: 1 };
  return (
    visit(normalizer, "normalizer", 0, encoding) ??
    visit(pre_tokenizer, "pre_tokenizer", 0, encoding) ??
    visit(decoder, "decoder", 0, decoding) ??
    excessOf(encoding) ??
    excessOf(decoding)
  );
}

function excessOf({ steps, growth }: Count): string | undefined {
  if (steps > stepCountMax) return `it has more than ${stepCountMax} steps`;
  return growth > growthMax ? `its replacements could make text ${growth} times as long` : undefined;
}

function visit(json: unknown, section: string, depth: number, count: Count): string | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  if (depth > depthMax) return "it is nested too deeply";
  const step = json as Readonly<Record<string, unknown>>;
  const { type } = step;
  if (typeof type === "string") {
    count.steps++;
    if (!knownSteps[section]!.has(type))
      return `its ${section} has a step ${excerpt(type)}, which is not one of the known tokenizers'`;
    if ((type === "Split" || type === "Replace") && !("pattern" in step))
      return `a step ${type} has no pattern`;
    count.growth *= growthOf(type, step);
  }
  for (const [key, value] of Object.entries(json)) {
    const reason = refuseEntry(key, value) ?? visit(value, section, depth + 1, count);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** How many times as long a step may make a text. A prefix counts as if each text were one character. */
function growthOf(type: string, step: Readonly<Record<string, unknown>>): number {
  const { pattern, content, prepend, replacement, str_rep } = step;
  if (type === "ByteLevel") return byteLevelGrowth;
  if (type === "Metaspace") return Math.max(lengthOf(replacement), lengthOf(str_rep));
  if (type === "Prepend") return lengthOf(prepend);
  // At least 1, so that a step that shortens makes no room for one that lengthens.
  return type === "Replace" ? Math.max(1, lengthOf(content) / lengthOf(literalOf(pattern))) : 1;
}

function lengthOf(text: unknown): number {
  return typeof text === "string" ? Math.max(1, text.length) : 1;
}

function literalOf(pattern: unknown): unknown {
  return typeof pattern === "object" && pattern !== null && "String" in pattern ? pattern.String : undefined;
}

/** `{"String": …}` or `{"Regex": …}`: the library passes over anything else. */
function isPattern(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const entries = Object.entries(value);
  return (
    entries.length === 1 &&
    entries.every(([key, text]) => /^(String|Regex)$/.test(key) && typeof text === "string")
  );
}

/** Keys of text that a step looks for or puts in. */
const literalKeys = new Set(["String", "content", "prepend", "replacement", "str_rep"]);

function refuseEntry(key: string, value: unknown): string | undefined {
  if (key === "pattern" && !isPattern(value)) return "a step's pattern is neither text nor expression";
  if (key === "Regex" && !(typeof value === "string" && isKnownPattern(value))) {
    return `the pattern ${excerpt(value)} is not one of the known tokenizers'`;
  }
  if (!literalKeys.has(key) || typeof value !== "string") return undefined;
  if (value.length > literalLengthMax)
    return `the text ${excerpt(value.slice(0, 20))}… is too long for a step`;
  if (key === "String" && value === "") return "a step looks for nothing";
  // In JavaScript's replacements a dollar sign stands for other text.
  return key === "content" && value.includes("$") ? `a step puts in ${JSON.stringify(value)}` : undefined;
}
