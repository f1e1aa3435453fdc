import type { Hex } from "viem";
import type { SourceChunk } from "../live-index.ts";
import type { IssuedReceipt, Opening } from "../receipt.ts";
import { findQuotes, markers } from "./citation.ts";

/** One citation, with offsets into the answer and into the chunk's text (UTF-16 units, ends exclusive). */
export type Citation = {
  index: number;
  chunk_id: Hex;
  contribution_id: string;
  contributor: Hex;
  source: string;
  quote: string;
  answer_start: number;
  answer_end: number;
  char_start: number;
  char_end: number;
};

/** Receipt as JSON: the fields of docs/formats.md with integers above 32 bits as decimal strings, digest and signature. */
export type ReceiptJson = Record<string, string | number> & { digest: Hex; signature: Hex };

/** What a caller gets and what the row keeps, so that a repeated request gets the same. */
export type Completion = {
  id: string;
  object: "chat.completion";
  created: number;
  model: Hex;
  choices: [
    {
      index: 0;
      message: { role: "assistant"; content: string; refusal: null };
      logprobs: null;
      finish_reason: "stop" | "length";
    },
  ];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  citations: Citation[];
  receipt: ReceiptJson;
  /** The payer's alone: with question and answer it opens the receipt's inputCommit and outputCommit. */
  opening: { input_salt: Hex; output_salt: Hex; answer_token_ids: readonly number[] };
};

/** The answer's quotes as citations, numbered from 1 in the order of the answer. `context` in prompt order. */
export function cite(answer: string, context: readonly SourceChunk[]): Citation[] {
  const quotes = findQuotes(
    answer,
    context.map(({ text }) => text),
  );
  return quotes.map((quote, position) => {
    const chunk = context[quote.passage]!;
    return {
      index: position + 1,
      chunk_id: chunk.id,
      contribution_id: chunk.contributionId.toString(),
      contributor: chunk.contributor,
      source: chunk.source,
      quote: quote.quote,
      answer_start: quote.answerStart,
      answer_end: quote.answerEnd,
      char_start: quote.charStart,
      char_end: quote.charEnd,
    };
  });
}

/** The completion in OpenAI's shape, with citations and receipt beside it. */
export function complete(parts: {
  answer: string;
  finishReason: "stop" | "length";
  citations: Citation[];
  issued: IssuedReceipt;
}): Completion {
  const { answer, finishReason, citations, issued } = parts;
  const { requestId, servedAt, modelId, promptTokens, completionTokens } = issued.receipt;
  const content = `${answer}${markers(citations.length)}`;
  return {
    id: idOf(requestId),
    object: "chat.completion",
    created: Number(servedAt),
    model: modelId,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content, refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      },
    ],
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    },
    citations,
    receipt: receiptJson(issued),
    opening: openingJson(issued.opening),
  };
}

/** Id of a completion; the same for the same request at the same charge. */
export function idOf(requestId: Hex): string {
  return `chatcmpl-${requestId.slice(2, 34)}`;
}

function openingJson({ inputSalt, outputSalt, answerTokenIds }: Opening): Completion["opening"] {
  return { input_salt: inputSalt, output_salt: outputSalt, answer_token_ids: answerTokenIds };
}

export function receiptJson({ receipt, digest, signature }: IssuedReceipt): ReceiptJson {
  const fields = Object.entries(receipt).map(([name, value]) => [
    name,
    typeof value === "bigint" ? value.toString() : value,
  ]);
  return { ...Object.fromEntries(fields), digest, signature };
}
