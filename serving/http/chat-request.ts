import { z } from "zod";
import { foldSpaces } from "#runtime/index";
import { PipelineError } from "#schema/errors";
import type { DecodingParams } from "#settlement/blob/disclosure";
import { answerTokensDefault, answerTokensMax, messagesMax, questionCharactersMax } from "../constants.ts";

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(textPart).max(messagesMax)]).nullish(),
});
const tokens = z.int().min(1).max(answerTokensMax).nullish();

/** OpenAI's chat completion request, the fields we read. Fields we do not know are ignored, as OpenAI clients expect. */
const body = z.object({
  model: z.string().min(1).max(200),
  messages: z.array(message).min(1).max(messagesMax),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: tokens,
  max_completion_tokens: tokens,
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0.001).max(1).nullish(),
  top_k: z.int().min(0).max(1_000_000).nullish(),
  seed: z.int().min(0).nullish(),
  n: z.literal(1).nullish(),
});

export type ChatRequest = {
  model: string;
  question: string;
  params: DecodingParams;
  isStream: boolean;
  includesUsage: boolean;
};

/**
 * Read a request. The question is the text of the last user message, white space folded to single spaces as the
 * prompt has it; earlier messages are not shown to the model. Temperature is 0 unless asked for: the model quotes.
 * @throws ChatRequestError naming the field.
 */
export function readChatRequest(json: unknown): ChatRequest {
  const parsed = body.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ChatRequestError(issue?.path.join(".") || null, issue?.message ?? "malformed");
  }
  const { data } = parsed;
  return {
    model: data.model,
    question: readQuestion(data.messages),
    params: {
      maxTokens: data.max_completion_tokens ?? data.max_tokens ?? answerTokensDefault,
      temperatureMilli: Math.round((data.temperature ?? 0) * 1000),
      topK: data.top_k ?? 0,
      topPMilli: Math.round((data.top_p ?? 1) * 1000),
      seed: BigInt(data.seed ?? 0),
    },
    isStream: data.stream ?? false,
    includesUsage: data.stream_options?.include_usage ?? false,
  };
}

function readQuestion(messages: readonly z.output<typeof message>[]): string {
  const last = messages.findLast(({ role }) => role === "user");
  if (last === undefined) throw new ChatRequestError("messages", "there is no user message");
  const content = last.content ?? "";
  const question = foldSpaces(
    typeof content === "string" ? content : content.map(({ text }) => text).join(" "),
  );
  if (question === "") throw new ChatRequestError("messages", "the last user message is empty");
  if (question.includes("\0") || !question.isWellFormed()) {
    throw new ChatRequestError(
      "messages",
      "the last user message is not text: it holds NUL or half a surrogate pair",
    );
  }
  if (question.length > questionCharactersMax) {
    throw new ChatRequestError(
      "messages",
      `question is too long. Max: ${questionCharactersMax} characters. Given: ${question.length}.`,
    );
  }
  return question;
}

/** A request that is not one. `param` names the field, or is null where it is not JSON. */
export class ChatRequestError extends PipelineError {
  override readonly name = "ChatRequestError";
  readonly param: string | null;
  constructor(param: string | null, reason: string) {
    super(param === null ? reason : `${param}: ${reason}`, { code: "invalid_request", retryable: false });
    this.param = param;
  }
}
