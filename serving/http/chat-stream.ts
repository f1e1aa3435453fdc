import type { Completion } from "../answer/answer.ts";
import { toErrorResponse } from "./error-response.ts";

/** Writes one answer as OpenAI's server-sent chunks. `send` takes the text after `data: `. */
export type ChatStream = {
  text: (piece: string) => Promise<void>;
  /** Markers of the citations, the closing chunk with citations, receipt and opening, usage if wanted, `[DONE]`. */
  end: (completion: Completion) => Promise<void>;
  /** An error after the headers were sent. */
  fail: (error: unknown) => Promise<void>;
};

type Options = {
  id: string;
  created: number;
  model: string;
  includesUsage: boolean;
  send: (data: string) => Promise<void>;
};

export function createChatStream({ id, created, model, includesUsage, send }: Options): ChatStream {
  const frame = { id, object: "chat.completion.chunk", created, model };
  const usage = includesUsage ? { usage: null } : {};
  const sendChoice = (delta: object, finishReason: string | null, extra: object = {}) =>
    send(
      JSON.stringify({
        ...frame,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
        ...usage,
        ...extra,
      }),
    );
  let sent = "";
  const sendText = async (piece: string) => {
    if (piece === "") return;
    const delta = sent === "" ? { role: "assistant", content: piece } : { content: piece };
    sent += piece;
    await sendChoice(delta, null);
  };
  return {
    text: sendText,
    end: async ({ choices: [choice], citations, receipt, opening, usage: counted }) => {
      await sendText(choice.message.content.slice(sent.length));
      await sendChoice({}, choice.finish_reason, { citations, receipt, opening });
      if (includesUsage) await send(JSON.stringify({ ...frame, choices: [], usage: counted }));
      await send("[DONE]");
    },
    fail: async (error) => {
      await send(JSON.stringify(toErrorResponse(error).body));
      await send("[DONE]");
    },
  };
}
