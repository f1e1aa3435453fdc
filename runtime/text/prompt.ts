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

/**
 * Where an encoded prompt is cut for `logProb`: after each passage, so that prompts of the same passages and
 * different questions, or with some of the passages left out, begin with the same parts. Pure.
 */
export function promptCuts(
  { specialTokenId }: { specialTokenId(spelling: string): number },
  promptTokenIds: readonly number[],
): number[] {
  const [passage, question] = [promptTokens.passage, promptTokens.question].map(specialTokenId);
  const starts = promptTokenIds.flatMap((id, at) => (id === passage || id === question ? [at] : []));
  return starts.slice(1);
}

/** Fold white space (as Unicode has it) to single spaces, and none at the ends. */
export function foldSpaces(text: string): string {
  return text.replace(/\s+/gu, " ").trim();
}

function spaced(text: string): TextPart {
  return { text: ` ${foldSpaces(text)}` };
}
