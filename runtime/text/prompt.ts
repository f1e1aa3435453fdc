/** A piece of a prompt: text, which can never become a special token, or one special token by its spelling. */
export type TextPart = { readonly text: string } | { readonly special: string };

/** Passages in the order they are shown, and the question asked of them. */
export interface Prompt {
  readonly passages: readonly string[];
  readonly question: string;
}

/** Special tokens of the prompt contract, in the spelling of tokenizer.json. */
export const promptTokens = {
  begin: "<|begin|>",
  passage: "<|passage|>",
  question: "<|question|>",
  answer: "<|answer|>",
  end: "<|end|>",
} as const;

/**
 * The prompt every model of this project is trained on:
 * `<|begin|>`, then `<|passage|> {text}` for each passage, then `<|question|> {question}<|answer|>`.
 * The model continues with ` {answer}<|end|>`. White space is folded to single spaces. Pure.
 */
export function renderPrompt({ passages, question }: Prompt): TextPart[] {
  return [
    { special: promptTokens.begin },
    ...passages.flatMap((passage) => [{ special: promptTokens.passage }, spaced(passage)]),
    { special: promptTokens.question },
    spaced(question),
    { special: promptTokens.answer },
  ];
}

/** What the model is expected to generate for an answer, its end included. Pure. */
export function renderAnswer(answer: string): TextPart[] {
  return [spaced(answer), { special: promptTokens.end }];
}

/** Token ids of a prompt as `logProb` takes them, cut after each passage: contexts of the same passages begin alike. */
export function encodePrompt(
  tokenizer: PromptEncoder,
  prompt: Prompt,
): { promptTokenIds: number[]; cuts: number[] } {
  const promptTokenIds = tokenizer.encode(renderPrompt(prompt));
  const marks = [promptTokens.passage, promptTokens.question].map(tokenizer.specialTokenId);
  const starts = promptTokenIds.flatMap((id, at) => (marks.includes(id) ? [at] : []));
  return { promptTokenIds, cuts: starts.slice(1) };
}

/** What of a tokenizer encodes prompts. */
export interface PromptEncoder {
  encode(parts: readonly TextPart[]): number[];
  specialTokenId(spelling: string): number;
}

/** Fold white space (as Unicode has it) to single spaces, and none at the ends. */
export function foldSpaces(text: string): string {
  return text.replace(/\s+/gu, " ").trim();
}

function spaced(text: string): TextPart {
  return { text: ` ${foldSpaces(text)}` };
}
