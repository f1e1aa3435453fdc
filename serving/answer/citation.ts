import { quoteCharactersMin } from "../constants.ts";

/** A passage of the answer that stands word for word in a chunk. Offsets count UTF-16 units, ends exclusive. */
export type Quote = {
  passage: number;
  quote: string;
  answerStart: number;
  answerEnd: number;
  charStart: number;
  charEnd: number;
};

/**
 * Quotes of `passages` in `answer`: the longest first, none overlapping another in the answer, returned in answer
 * order. A quote starts and ends at word boundaries in both texts and has at least `quoteCharactersMin` characters, or is all of
 * the answer (less surrounding punctuation). Where two passages hold it, the first passage is cited. Every quote is
 * a substring by construction: what the model made up is never cited.
 */
export function findQuotes(answer: string, passages: readonly string[]): Quote[] {
  const whole = findWholeAnswer(answer, passages);
  if (whole !== null) return [whole];
  const taken: Quote[] = [];
  const found = passages.flatMap((text, passage) =>
    commonRuns(answer, text).map((run) => ({ ...run, passage })),
  );
  found.sort(
    (a, b) => b.quote.length - a.quote.length || a.passage - b.passage || a.answerStart - b.answerStart,
  );
  for (const quote of found) {
    if (taken.every((t) => quote.answerEnd <= t.answerStart || t.answerEnd <= quote.answerStart))
      taken.push(quote);
  }
  return taken.sort((a, b) => a.answerStart - b.answerStart);
}

/** The answer with its markers: ` [1][2]` after the last character, so that offsets into the answer stay valid. */
export function markers(count: number): string {
  return count === 0 ? "" : ` ${Array.from({ length: count }, (_, i) => `[${i + 1}]`).join("")}`;
}

function findWholeAnswer(answer: string, passages: readonly string[]): Quote | null {
  const match = /^[\s"'“”‘’.]*(.*?)[\s"'“”‘’.]*$/su.exec(answer);
  const quote = match?.[1] ?? "";
  if (quote === "") return null;
  const answerStart = answer.indexOf(quote);
  for (const [passage, text] of passages.entries()) {
    for (let at = text.indexOf(quote); at >= 0; at = text.indexOf(quote, at + 1)) {
      if (!isBounded(text, at, at + quote.length)) continue;
      return {
        passage,
        quote,
        answerStart,
        answerEnd: answerStart + quote.length,
        charStart: at,
        charEnd: at + quote.length,
      };
    }
  }
  return null;
}

/** Maximal common runs of two texts, trimmed to word boundaries, long enough to cite. O(answer · passage). */
function commonRuns(answer: string, text: string): Omit<Quote, "passage">[] {
  const runs: Omit<Quote, "passage">[] = [];
  let previous = new Uint16Array(text.length + 1);
  for (let i = 1; i <= answer.length; i++) {
    const current = new Uint16Array(text.length + 1);
    for (let j = 1; j <= text.length; j++) {
      if (answer[i - 1] !== text[j - 1]) continue;
      current[j] = previous[j - 1]! + 1;
      const isMaximal = i === answer.length || j === text.length || answer[i] !== text[j];
      const run =
        isMaximal && current[j]! >= quoteCharactersMin ? trimRun(answer, text, i, j, current[j]!) : null;
      if (run !== null) runs.push(run);
    }
    previous = current;
  }
  return runs;
}

function trimRun(answer: string, text: string, answerTo: number, textTo: number, length: number) {
  let start = 0;
  let end = length;
  const isCut = (at: number) =>
    isInsideWord(answer, answerTo - length + at) || isInsideWord(text, textTo - length + at);
  while (start < end && (isCut(start) || /\s/u.test(answer[answerTo - length + start]!))) start++;
  while (end > start && (isCut(end) || /\s/u.test(answer[answerTo - length + end - 1]!))) end--;
  if (end - start < quoteCharactersMin) return null;
  const [answerStart, charStart] = [answerTo - length + start, textTo - length + start];
  const [answerEnd, charEnd] = [answerTo - length + end, textTo - length + end];
  return { quote: answer.slice(answerStart, answerEnd), answerStart, answerEnd, charStart, charEnd };
}

function isBounded(text: string, start: number, end: number): boolean {
  return !isInsideWord(text, start) && !isInsideWord(text, end);
}

/** Whether a word, or a character of two UTF-16 units, runs across the gap before `at`. */
function isInsideWord(text: string, at: number): boolean {
  if (/^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1))) return true;
  return at > 0 && at < text.length && /[\p{L}\p{N}]/u.test(text[at - 1]!) && /[\p{L}\p{N}]/u.test(text[at]!);
}
