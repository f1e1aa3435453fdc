/**
 * PEFT's `rank_pattern` and `alpha_pattern` are Python regular expressions over module names, out of a file anyone
 * can write. What matches is what PEFT matches, but an expression that could run for long is refused.
 */

/** Patterns of one file that repeat a part or choose between parts; each costs every module a search. */
export const searchCountMax = 4;

/** Longest pattern, in characters. */
const patternLengthMax = 256;

export type ModulePatterns = {
  /** Value of the first pattern, in the file's order, that matches the end of a module's name. */
  readonly find: (name: string) => number | undefined;
};

export type DecodedPatterns =
  | { readonly ok: true; readonly patterns: ModulePatterns }
  | { readonly ok: false; readonly reason: string };

/** Plain names: letters, dots (any character, as in Python, or escaped). */
const fixed = /^\^?(?:[\w-]|\\?\.)+\$?$/;

/** Letters, classes, groups and alternatives; a repetition after one character or class, never after a group. */
const searchable = /^(?:(?:[\w-]|\\[.dw]|\.|\[[\w-]+\])(?:[*+?]|\{\d{1,2}\})?|\((?:\?:)?|\)|[|^$])*$/;

/** Entries of a pattern object whose values were checked. Pure. */
export function decodePatterns(entries: readonly (readonly [string, number])[]): DecodedPatterns {
  const matchers: { matches: (name: string) => boolean; value: number }[] = [];
  let searches = 0;
  for (const [pattern, value] of entries) {
    const isFixed = fixed.test(pattern);
    if (!isFixed) searches++;
    const matches = isFixed ? matchEnd(pattern) : search(pattern);
    if (matches === undefined || searches > searchCountMax || pattern.length > patternLengthMax) {
      return {
        ok: false,
        reason: `the pattern ${JSON.stringify(pattern)} could run for long, name modules in full`,
      };
    }
    matchers.push({ matches, value });
  }
  return { ok: true, patterns: { find: (name) => matchers.find(({ matches }) => matches(name))?.value } };
}

/** Compare with the name's end, one character for one. A `^` binds the pattern to the whole name. */
function matchEnd(pattern: string): (name: string) => boolean {
  const body = pattern.replace(/^\^/, "").replace(/\$$/, "");
  const wanted = body.match(/\\?[^\\]/g) ?? [];
  return (name) => {
    const start = name.length - wanted.length;
    const isAtPart = start === 0 || (start > 0 && !pattern.startsWith("^") && name[start - 1] === ".");
    return isAtPart && wanted.every((part, index) => part === "." || part.at(-1) === name[start + index]);
  };
}

/** A regular expression of the safe kind, or none: at most one repetition, so a search is at most quadratic. */
function search(pattern: string): ((name: string) => boolean) | undefined {
  const repeats = pattern.match(/[*+{]/g)?.length ?? 0;
  if (repeats > 1 || !searchable.test(pattern)) return undefined;
  try {
    const expression = new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
    return (name) => expression.test(name);
  } catch {
    return undefined; // Brackets that do not pair: refused as any other.
  }
}
