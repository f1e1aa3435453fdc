import type { TextPart } from "./prompt.ts";

/** A special token as tokenizer.json lists it. */
export interface SpecialToken {
  readonly id: number;
  readonly content: string;
  /** Whether it takes the white space before it, and after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A function that finds the spellings of special tokens, leftmost and longest first. */
export function createSplitter(specials: readonly SpecialToken[]): (text: string) => TextPart[] {
  const bySpelling = new Map(specials.map((entry) => [entry.content, entry]));
  const alternatives = [...bySpelling.keys()].toSorted((a, b) => b.length - a.length).map(escapeExpression);
  const expression = new RegExp(alternatives.length === 0 ? "(?!)" : `(${alternatives.join("|")})`, "u");
  return (text) => {
    const pieces = text.split(expression);
    return pieces.flatMap((piece, index): TextPart[] => {
      if (index % 2 === 1) return [{ special: piece }];
      const from = bySpelling.get(pieces[index - 1] ?? "")?.rstrip ? piece.trimStart() : piece;
      const trimmed = bySpelling.get(pieces[index + 1] ?? "")?.lstrip ? from.trimEnd() : from;
      return trimmed === "" ? [] : [{ text: trimmed }];
    });
  };
}

/** Text as a regular expression that matches it alone. */
function escapeExpression(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
