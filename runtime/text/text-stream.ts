import type { Tokenizer } from "./tokenizer.ts";

/** Turns token ids into text as they come; a character split over several tokens waits for its last one. */
export interface TextStream {
  /** Text completed by this token; often a word, sometimes "". */
  push(tokenId: number): string;
  /** Text still waiting, with broken characters as U+FFFD. Call once, at the end. */
  end(): string;
}

/** A stream whose pieces joined equal `tokenizer.decode` of all tokens. */
export function createTextStream(tokenizer: Tokenizer): TextStream {
  const tokenIds: number[] = [];
  let sent = "";
  const rest = (text: string): string => {
    const piece = text.slice(sent.length);
    sent = text;
    return piece;
  };
  return {
    push: (tokenId) => {
      tokenIds.push(tokenId);
      const text = tokenizer.decode(tokenIds);
      return text.endsWith("\uFFFD") ? "" : rest(text);
    },
    end: () => rest(tokenizer.decode(tokenIds)),
  };
}
