/**
 * Regular expressions that a tokenizer.json may hold. It comes with a model folder, and a pattern such as `(a+)+$`
 * would hold the caller's thread for ever; so only expressions known by heart run, all others are refused by name.
 */

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const letters = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const rest = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Published splitting rules, by the family whose tokenizer.json has them. */
export const knownPatterns: ReadonlySet<string> = new Set([
  // GPT-2.
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // Llama 3.
  `${contractions}|${letters}|\\p{N}{1,3}|${rest}`,
  // Qwen2 and Qwen3.
  `${contractions}|${letters}|\\p{N}|${rest}`,
]);

/** The first `{"Regex": …}` anywhere in a tokenizer.json's steps that is not known, or none. */
export function findUnknownPattern(json: unknown, depth = 0): string | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  if (depth > depthMax) return "(nested too deeply)";
  for (const [key, value] of Object.entries(json)) {
    const isUnknown = key === "Regex" && !(typeof value === "string" && knownPatterns.has(value));
    const found = isUnknown ? String(value) : findUnknownPattern(value, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Sequences of sequences: no real tokenizer goes near this. */
const depthMax = 16;
