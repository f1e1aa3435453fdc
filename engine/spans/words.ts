/** A word of a text: UTF-16 units [start, end). */
export type Word = { readonly text: string; readonly start: number; readonly end: number };

/** Runs of what is no white space, in order. Word for word is what a reader sees as copied, whatever the tokenizer. */
export function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\S+/gu)].map((match) => ({
    text: match[0],
    start: match.index,
    end: match.index + match[0].length,
  }));
}

/** Stands for a word that no record has: it matches nothing. */
const unknownWord = 2 ** 30;

/** Ids of words, given as they are met. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();

  /** Different words so far. */
  get size(): number {
    return this.#ids.size;
  }

  /** Ids of a record's words; new ones are added. */
  add(words: readonly Word[]): number[] {
    return words.map(({ text }) => {
      const known = this.#ids.get(text) ?? this.#ids.size;
      this.#ids.set(text, known);
      return known;
    });
  }

  /** Ids of an answer's words; nothing is added. */
  read(words: readonly Word[]): number[] {
    return words.map(({ text }) => this.#ids.get(text) ?? unknownWord);
  }
}
