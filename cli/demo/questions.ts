import { splitSentences } from "./chunking.ts";

/** A chunk a question can be asked about. */
export type Passage = { source: string; text: string; contributor: string };

/** `passage` is what the question was made from; the answer should quote it from `phrase` on. */
export type Question = { text: string; phrase: string; passage: Passage };

/** Words of a phrase, words that must follow its start in the sentence, characters an answer may have. */
const phraseWords = { min: 3, max: 5 };
const tailWordsMin = 6;
const answerCharactersMax = 220;

/**
 * Questions whose answers are quotes, in the form the model was taught (runtime/models/quote/README.md): each names a
 * phrase that stands once in all passages. Contributors take turns in a shuffled order, so that many are asked about.
 * Pure: the same passages, count and seed give the same questions. Fewer than `count` where the passages run out.
 */
export function deriveQuestions(passages: readonly Passage[], count: number, seed: number): Question[] {
  const random = mulberry32(seed);
  const corpus = passages.map(({ text }) => ` ${text}`).join("\n");
  const turns = shuffle([...Map.groupBy(passages, ({ contributor }) => contributor).values()], random).map(
    (own) => shuffle([...own], random),
  );
  const questions: Question[] = [];
  for (let round = 0; questions.length < count && turns.some((own) => own.length > round); round++) {
    for (const own of turns) {
      const passage = own[round];
      const question = passage && askAbout(passage, corpus, random);
      if (question && questions.length < count) questions.push(question);
    }
  }
  return questions;
}

function askAbout(passage: Passage, corpus: string, random: () => number): Question | undefined {
  for (const sentence of shuffle(splitSentences(passage.text), random)) {
    const words = sentence.split(" ");
    if (words.length < tailWordsMin) continue;
    const start = Math.floor(random() * (words.length - tailWordsMin + 1));
    const length = phraseWords.min + Math.floor(random() * (phraseWords.max - phraseWords.min + 1));
    const phrase = words.slice(start, start + length).join(" ");
    if (!isPlain(phrase) || words.slice(start).join(" ").length > answerCharactersMax) continue;
    if (corpus.split(` ${phrase}`).length !== 2) continue;
    return { text: `What does ${passage.source} say about ${phrase}?`, phrase, passage };
  }
  return undefined;
}

/** Words and simple punctuation inside only, one word of at least five letters: reads as a phrase, not as code. */
function isPlain(phrase: string): boolean {
  return /^[\p{L}\p{N}][\p{L}\p{N} ,'-]*[\p{L}\p{N}]$/u.test(phrase) && /\p{L}{5}/u.test(phrase);
}

/** Fisher and Yates; the given generator decides. Returns the same array. */
function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

/** Numbers in [0, 1) from a 32-bit seed (mulberry32, Tommy Ettinger, public domain description). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
