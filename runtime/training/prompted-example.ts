import { type Prompt, renderAnswer, renderPrompt } from "#runtime/text/prompt";
import type { Tokenizer } from "#runtime/text/tokenizer";
import type { Example } from "./packing.ts";

/** An answer under its prompt as something to learn: the answer's tokens are learned, the prompt's only read. */
export function promptedExample(
  tokenizer: Pick<Tokenizer, "encode">,
  prompt: Prompt,
  answer: string,
): Example {
  const promptTokenIds = tokenizer.encode(renderPrompt(prompt));
  const answerTokenIds = tokenizer.encode(renderAnswer(answer));
  return { tokenIds: [...promptTokenIds, ...answerTokenIds], answerFrom: promptTokenIds.length };
}
