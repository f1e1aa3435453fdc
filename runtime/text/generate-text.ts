import type { Generation } from "#runtime/inference/generate";
import type { Model } from "#runtime/model";
import { check, isObject } from "#runtime/request";
import type { GenerateRequest } from "#runtime/tasks";
import type { TextPart } from "./prompt.ts";
import { createTextStream, type TextStreamOptions } from "./text-stream.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What to write. As `GenerateRequest`, with text where that has token ids. */
export interface TextRequest extends Omit<GenerateRequest, "promptTokenIds" | "onToken">, TextStreamOptions {
  readonly prompt: string | readonly TextPart[];
  /** Called with each piece of text as it becomes whole; joined they are the result's text. An error it throws becomes the call's. */
  readonly onText?: (piece: string) => void;
}

/** Text, and the tokens behind it: where a stop string ended it, up to the token that completed that. */
export interface GeneratedText extends Generation {
  readonly text: string;
  /** The stop string that ended the text and is no part of it; then `finishReason` is `stop`. */
  readonly stopString: string | undefined;
}

/**
 * Generate text. It ends before the tokenizer's stop tokens, unless others are given, and before any stop string,
 * wherever token boundaries lie. The same request and seed give the same text and tokens.
 * @throws what `model.generate` does; TokenizerError for the prompt; StopStringError.
 */
export async function generateText(
  model: Pick<Model, "generate">,
  tokenizer: Tokenizer,
  request: TextRequest,
): Promise<GeneratedText> {
  check(isObject(request), "request", "an object", request);
  const { prompt, stopStrings = [], onText = ignorePiece, signal, ...sampling } = request;
  const stream = createTextStream(tokenizer, { stopStrings });
  const stopped = new AbortController();
  const signals = signal ? [signal, stopped.signal] : [stopped.signal];
  let text = "";
  let tokens = 0;
  const give = (piece: string) => {
    text += piece;
    if (piece !== "") onText(piece);
  };
  const generation = await model.generate({
    ...sampling,
    stopTokenIds: sampling.stopTokenIds ?? tokenizer.stopTokenIds,
    promptTokenIds: tokenizer.encode(prompt),
    signal: AbortSignal.any(signals),
    onToken: ({ tokenId }) => {
      if (stream.stopString !== undefined) return; // The worker was some tokens ahead of us.
      give(stream.push(tokenId));
      tokens += 1;
      if (stream.stopString !== undefined) stopped.abort();
    },
  });
  give(stream.end());
  const { stopString } = stream;
  const [tokenIds, logProbs] = [generation.tokenIds.slice(0, tokens), generation.logProbs.slice(0, tokens)];
  const finishReason = stopString === undefined ? generation.finishReason : "stop";
  return { text, tokenIds, logProbs, finishReason, stopString };
}

function ignorePiece(): undefined {
  return undefined;
}
