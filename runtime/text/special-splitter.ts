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
  const longestAt = createFinder([...bySpelling.keys()]);
  return (text) => {
    const pieces = cut(text, longestAt);
    return pieces.flatMap((piece, index): TextPart[] => {
      if (index % 2 === 1) return [{ special: piece }];
      const from = bySpelling.get(pieces[index - 1] ?? "")?.rstrip ? piece.trimStart() : piece;
      const trimmed = bySpelling.get(pieces[index + 1] ?? "")?.lstrip ? from.trimEnd() : from;
      return trimmed === "" ? [] : [{ text: trimmed }];
    });
  };
}

/** Length of the longest spelling that starts at an index, 0 where none does. */
export type Finder = (text: string, index: number) => number;

/** Follows a tree of the spellings, one step a character: an index takes no longer than the longest spelling. */
export function createFinder(spellings: readonly string[]): Finder {
  const root: Branch = { isEnd: false, next: new Map() };
  for (const spelling of spellings) {
    let branch = root;
    for (let at = 0; at < spelling.length; at++) {
      const unit = spelling.charCodeAt(at);
      const next = branch.next.get(unit) ?? { isEnd: false, next: new Map() };
      branch.next.set(unit, next);
      branch = next;
    }
    branch.isEnd = true;
  }
  return (text, index) => {
    let longest = 0;
    let branch: Branch | undefined = root;
    for (let at = index; at < text.length; at++) {
      branch = branch.next.get(text.charCodeAt(at));
      if (branch === undefined) break;
      if (branch.isEnd) longest = at + 1 - index;
    }
    return longest;
  };
}

interface Branch {
  isEnd: boolean;
  readonly next: Map<number, Branch>;
}

/** Text between spellings and spellings, in turns, text first and last. */
function cut(text: string, longestAt: Finder): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const length = longestAt(text, at);
    if (length > 0) {
      pieces.push(text.slice(from, at), text.slice(at, at + length));
      from = at + length;
    }
    at += Math.max(1, length);
  }
  return [...pieces, text.slice(from)];
}
