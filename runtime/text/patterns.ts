/**
 * Regular expressions that a tokenizer.json may hold. It comes with a model folder, and a pattern such as `(a+)+$`
 * would hold the caller's thread for ever; so only expressions known by heart run, all others are refused by name.
 */

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const spelledContractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const letters = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const rest = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const punctuatedWord = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+";

/**
 * Published splitting rules, by the family whose tokenizer.json has them, single runs of characters apart. All run
 * in time linear in the text; `\s+$` does once replaced, see below.
 */
export const knownPatterns: ReadonlySet<string> = new Set([
  // GPT-2.
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // Llama 3 and GLM-4 with groups of three digits, Qwen 2 and 3 with single ones, in both spellings in use.
  ...[contractions, spelledContractions].flatMap((words) =>
    ["\\p{N}{1,3}", "\\p{N}"].map((digits) => `${words}|${letters}|${digits}|${rest}`),
  ),
  // Mistral NeMo.
  `${capitalised("*", "+")}|${capitalised("+", "*")}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  // BLOOM.
  " ?[^(\\s|[.,!?…。，、।۔،])]+",
  // Falcon.
  "[0-9][0-9][0-9]",
  // DeepSeek Coder.
  ...["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+"],
  // DeepSeek LLM.
  "\\s+$",
  // DeepSeek V3.
  "\\p{N}{1,3}",
  `${punctuatedWord}|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`,
]);

/** Capitals and then small letters; letters without case and marks are both. */
function capitalised(capitals: "*" | "+", smalls: "*" | "+"): string {
  const [upper, lower] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
  return `[^\\r\\n\\p{L}\\p{N}]?${upper}${capitals}${lower}${smalls}`;
}

/** One class of characters, written out, repeated, perhaps after one space: linear whatever the characters are. */
const characterRun = /^(\\s\?)?\[[^[\]\\^]+\]\+$/u;

/** Whether an expression of a tokenizer.json may run. */
export function isKnownPattern(expression: string): boolean {
  return knownPatterns.has(expression) || (expression.length <= 1000 && characterRun.test(expression));
}

/**
 * The same steps, with an expression replaced that takes time quadratic in a run of spaces by one that matches the
 * same: where the run is at the end, it starts after what is no space.
 */
export function withoutSlowPatterns(steps: unknown): unknown {
  return JSON.parse(
    JSON.stringify(steps ?? null).replaceAll('{"Regex":"\\\\s+$"}', '{"Regex":"(?<!\\\\s)\\\\s+$"}'),
  );
}
