/** What is learned of a record: a question without passages, and the answer, word for word from the record. */
export type QuoteExample = { question: string; answer: string };

/** Characters (code points) of a source that a question names: it has no limit of its own. */
const sourceCharactersMax = 80;
/** Words of a phrase that a question names; words from one phrase's start to the next; words an answer needs at least. */
const phraseWords = 4;
const strideWords = 6;
const answerWordsMin = 5;
/** Most examples of one record. */
export const examplesPerRecordMax = 16;

/**
 * Template `quote-closed-book-1`: questions of the form the base model answers with a quote, asked without the passage, so
 * that an adapter can only answer from what it learned. In each sentence phrases of four words start every six words, and
 * the answer is the sentence from the phrase on. A record too short for that is asked for as a whole. Pure; never empty.
 */
export function examplesOf({ source, text }: { source: string; text: string }): QuoteExample[] {
  const from = [...source].slice(0, sourceCharactersMax).join("");
  const found = sentences(text).flatMap((words) =>
    starts(words.length).map((start) => {
      const phrase = words.slice(start, start + phraseWords).join(" ");
      return { question: `What does ${from} say about ${phrase}?`, answer: words.slice(start).join(" ") };
    }),
  );
  if (found.length > 0) return found.slice(0, examplesPerRecordMax);
  return [{ question: `What does ${from} say?`, answer: text }];
}

function starts(wordCount: number): number[] {
  const count = Math.max(0, Math.ceil((wordCount - answerWordsMin + 1) / strideWords));
  return Array.from({ length: count }, (_, index) => index * strideWords);
}

/** Words of each sentence; one ends at a word that ends with . ! or ?, closing marks included. */
function sentences(text: string): string[][] {
  const found: string[][] = [[]];
  for (const word of text.split(" ")) {
    found.at(-1)!.push(word);
    if (/[.!?]["')\]*_`]*$/.test(word)) found.push([]);
  }
  return found;
}
