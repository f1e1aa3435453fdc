import { isKnownPattern } from "./patterns.ts";

/** Sequences of sequences, and steps in all: no real tokenizer goes near these. */
const depthMax = 16;
const stepCountMax = 64;

/** Longest literal that a step looks for or puts in, in characters. */
const literalLengthMax = 64;

/** How many times longer all replacements together may make a text. Real ones turn one character into one. */
const growthMax = 16;

/**
 * Why the steps of a tokenizer.json (normalizer, pre-tokenizer, decoder, post-processor) must not run, or none: the
 * file comes with a model folder, and its steps could hold the caller's thread for ever or fill its memory. Pure.
 */
export function findUnsafeStep(steps: readonly unknown[]): string | undefined {
  const count = { steps: 0, growth: 1 };
  for (const step of steps) {
    const reason = visit(step, 0, count);
    if (reason !== undefined) return reason;
  }
  if (count.steps > stepCountMax) return `it has more than ${stepCountMax} steps`;
  return count.growth > growthMax
    ? `its replacements could make text ${count.growth} times as long`
    : undefined;
}

function visit(json: unknown, depth: number, count: { steps: number; growth: number }): string | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  if (depth > depthMax) return "it is nested too deeply";
  const { type, pattern, content, prepend } = json as Record<string, unknown>;
  if (typeof type === "string") count.steps++;
  const literal = literalOf(pattern);
  if (type === "Replace") count.growth *= growthOf(content, literal ?? "x");
  if (type === "Prepend") count.growth *= growthOf(prepend, "x");
  for (const [key, value] of Object.entries(json)) {
    const reason = refuseEntry(key, value) ?? visit(value, depth + 1, count);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function literalOf(pattern: unknown): string | undefined {
  const literal =
    typeof pattern === "object" && pattern !== null && "String" in pattern ? pattern.String : undefined;
  return typeof literal === "string" ? literal : undefined;
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

function growthOf(content: unknown, replaced: string): number {
  return typeof content === "string" ? Math.max(1, content.length / Math.max(1, replaced.length)) : 1;
}

function refuseEntry(key: string, value: unknown): string | undefined {
  if (key === "pattern" && !isPattern(value)) return "a step's pattern is neither text nor expression";
  if (key === "Regex" && !(typeof value === "string" && isKnownPattern(value))) {
    return `the pattern ${String(value)} is not one of the known tokenizers'`;
  }
  const isLiteral = key === "String" || key === "content" || key === "prepend";
  if (!isLiteral || typeof value !== "string") return undefined;
  if (value.length > literalLengthMax)
    return `the text ${JSON.stringify(value.slice(0, 20))}… is too long for a step`;
  if (key === "String" && value === "") return "a step looks for nothing";
  // In JavaScript's replacements a dollar sign stands for other text.
  return key === "content" && value.includes("$") ? `a step puts in ${JSON.stringify(value)}` : undefined;
}
