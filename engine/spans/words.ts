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

/** Most entries of one Map: V8 takes 2^24. */
const mapEntriesMax = 2 ** 24;

/** Ids of words, given as they are met. In several maps where there are more words than one takes. */
export class Vocabulary {
  readonly #parts: Map<string, number>[] = [new Map()];
  readonly #entriesMax: number;
  #size = 0;

  constructor({ entriesMax = mapEntriesMax } = {}) {
    this.#entriesMax = entriesMax;
  }

  /** Different words so far. */
  get size(): number {
    return this.#size;
  }

  #find(word: string): number | undefined {
    for (const part of this.#parts) {
      const id = part.get(word);
      if (id !== undefined) return id;
    }
    return undefined;
  }

  #give(word: string): number {
    if (this.#parts.at(-1)!.size === this.#entriesMax) this.#parts.push(new Map());
    this.#parts.at(-1)!.set(word, this.#size);
    return this.#size++;
  }

  /** Ids of a record's words; new ones are added. */
  add(words: readonly Word[]): number[] {
    return words.map(({ text }) => this.#find(text) ?? this.#give(text));
  }

  /** Ids of an answer's words; nothing is added. */
  read(words: readonly Word[]): number[] {
    return words.map(({ text }) => this.#find(text) ?? unknownWord);
  }
}
