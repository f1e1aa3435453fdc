import { ModelRuntimeError } from "#runtime/errors";
import type { Tokenizer } from "./tokenizer.ts";

/** Turns token ids into text as they come; what cannot be told yet waits. */
export interface TextStream {
  /**
   * Text completed by this token; often a word, sometimes "". The last bytes of a character that is not whole, and
   * text that may be the start of a stop string, wait for later tokens. "" after a stop string was found.
   */
  push(tokenId: number): string;
  /** Text still waiting, with broken characters as U+FFFD. Call once, at the end. */
  end(): string;
  /** The stop string that was found: it and all after it are no part of the text. */
  readonly stopString: string | undefined;
}

export interface TextStreamOptions {
  /**
   * The text ends before the first of these to be complete, wherever token boundaries lie; of several complete at
   * the same character, the longest.
   */
  readonly stopStrings?: readonly string[];
}

/** Most stop strings, and characters (UTF-16 units) of one. */
export const stopStringsMax = 16;
export const stopStringLengthMax = 1024;

/** A character has at most 4 bytes, so at most 3 can be there of one that is not whole. */
const partBytesMax = 3;

/**
 * Broken characters at the end that are held back. A byte-fallback decoder breaks a whole run of byte tokens while
 * its last character is not whole, and a run is at most as long as the window below; more are just broken.
 */
const heldCharactersMax = 64;

/** Tokens decoded anew at each step, before older ones are left behind. */
const windowTokens = 32;

/** Tokens kept to decode the next in their company, since a decoder may treat the first token specially. */
const contextTokens = [4, 8, 16];

/**
 * A stream whose pieces joined equal `tokenizer.decode` of all tokens, up to the stop string. One exception: with a
 * byte-fallback decoder, a run of byte tokens that turns out not to be UTF-8 loses the characters it began with,
 * which have been given out by then.
 * @throws StopStringError for an empty stop string, or too many, or too long ones.
 */
export function createTextStream(tokenizer: Tokenizer, options: TextStreamOptions = {}): TextStream {
  const stopStrings = checkStopStrings(options.stopStrings ?? []);
  const decoder = createDecoder(tokenizer);
  let waiting = "";
  let stopString: string | undefined;
  const take = (text: string, isLast: boolean): string => {
    if (stopString !== undefined) return "";
    waiting += text;
    const stop = findStop(waiting, stopStrings);
    stopString = stop?.stopString;
    const end = stop?.start ?? (isLast ? waiting.length : waiting.length - heldLength(waiting, stopStrings));
    const piece = waiting.slice(0, end);
    waiting = waiting.slice(end);
    return piece;
  };
  return {
    push: (tokenId) => (stopString === undefined ? take(decoder.push(tokenId), false) : ""),
    end: () => take(decoder.end(), true),
    get stopString() {
      return stopString;
    },
  };
}

/** Decodes a sliding window, so that a long text costs each token the same. */
function createDecoder(tokenizer: Tokenizer): { push: (tokenId: number) => string; end: () => string } {
  let window: number[] = [];
  let sentLength = 0;
  let windowMax = windowTokens;
  const give = (text: string, end: number): string => {
    const piece = text.slice(sentLength, end);
    sentLength = Math.max(sentLength, end); // A run that broke anew gives less than was sent already.
    return piece;
  };
  return {
    push: (tokenId) => {
      window.push(tokenId);
      const text = tokenizer.decode(window);
      const end = text.length - brokenLength(text);
      const piece = give(text, end);
      if (end === text.length && window.length >= windowMax) {
        const context = contextOf(tokenizer, window, text);
        window = context ?? window;
        // None fits: a rare decoder or broken bytes. Try again when there is twice as much.
        windowMax = context ? windowTokens : windowMax * 2;
        if (context) sentLength = tokenizer.decode(context).length;
      }
      return piece;
    },
    end: () => {
      const text = tokenizer.decode(window);
      return give(text, text.length);
    },
  };
}

/** Last tokens of the window that alone decode to an end of its text. */
function contextOf(tokenizer: Tokenizer, window: readonly number[], text: string): number[] | undefined {
  return contextTokens
    .map((count) => window.slice(-count))
    .find((context) => {
      const alone = tokenizer.decode(context);
      return alone !== "" && text.endsWith(alone);
    });
}

/** Characters at the end that may be a whole character's first bytes. */
function brokenLength(text: string): number {
  let length = 0;
  while (length <= heldCharactersMax && text.at(-1 - length) === "\uFFFD") length++;
  return length > heldCharactersMax ? partBytesMax : length;
}

function findStop(text: string, stopStrings: readonly string[]) {
  const found = stopStrings
    .map((stopString) => ({ stopString, start: text.indexOf(stopString) }))
    .filter(({ start }) => start >= 0);
  const endOf = (stop: { stopString: string; start: number }) => stop.start + stop.stopString.length;
  return found.toSorted((a, b) => endOf(a) - endOf(b) || a.start - b.start)[0];
}

/** Length of the longest end of the text that begins a stop string. */
function heldLength(text: string, stopStrings: readonly string[]): number {
  const longest = Math.max(0, ...stopStrings.map(({ length }) => length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (stopStrings.some((stopString) => stopString.startsWith(end))) return length;
  }
  return 0;
}

function checkStopStrings(stopStrings: readonly string[]): readonly string[] {
  const isString = (given: unknown) =>
    typeof given === "string" && given.length >= 1 && given.length <= stopStringLengthMax;
  const isFit = Array.isArray(stopStrings) && Array.from(stopStrings).every(isString);
  if (!isFit || stopStrings.length > stopStringsMax) throw new StopStringError();
  return stopStrings;
}

/** Stop strings that cannot be watched for. */
export class StopStringError extends ModelRuntimeError {
  constructor() {
    super(
      "request-invalid",
      `stopStrings: allowed are up to ${stopStringsMax} of 1 to ${stopStringLengthMax} characters.`,
    );
  }
}
