import type { Address, Hex, PublicClient } from "viem";
import { createTextStream, type Generation, type Model, type Tokenizer } from "#runtime/index";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import type { DecodingParams } from "#settlement/blob/disclosure";
import type { Clock } from "../clock.ts";
import type { LiveIndex } from "../live-index.ts";
import { type Admission, admit, type ChannelView } from "../payment/admission.ts";
import { readChannel } from "../payment/channel.ts";
import { PaymentRequiredError, type PaymentTerms } from "../payment/payment-required.ts";
import type { Turns } from "../payment/turn.ts";
import * as vouchers from "../payment/voucher.ts";
import type { ReceiptIssuer } from "../receipt.ts";
import type { RegisteredModel } from "../registered-model.ts";
import { type Completion, cite, complete, idOf } from "./answer.ts";
import { type Context, choose } from "./context.ts";
import { commitAnswer, findAnswerWithin, readCharged } from "./store.ts";

export type Question = { question: string; params: DecodingParams; voucher: vouchers.Voucher };

/** Who listens while an answer is made. `admitted` comes once, when the call is paid for; `text` piece by piece. */
export type Listener = { admitted: (id: string) => void; text: (piece: string) => void };

/** Answers paid questions: admission, retrieval, generation, citations, receipt, and one transaction that charges. */
export type Answerer = { answer: (question: Question, listener: Listener) => Promise<Completion> };

export type AnswererParts = {
  db: Drizzle;
  client: PublicClient;
  terms: PaymentTerms;
  model: Model;
  tokenizer: Tokenizer;
  registered: RegisteredModel;
  /** One per node: a channel's charge rises over all its models. */
  turns: Turns;
  index: LiveIndex;
  issuer: ReceiptIssuer;
  clock: Clock;
  candidateCount: number;
  contextCount: number;
};

/**
 * Requests of one channel are answered one after the other, so that each sees the charge of the one before.
 * A request repeated with a voucher that pays for no further call returns the stored answer if the question is the
 * same: that is how a caller recovers an answer after a timeout or a crash without paying twice.
 * A caller that goes away is charged all the same: it may have read the whole text.
 * @throws PaymentRequiredError, ContextTooLongError, ChargeConflictError, ModelRuntimeError.
 */
export function createAnswerer(parts: AnswererParts): Answerer {
  return {
    answer: (question, listener) =>
      parts.turns.take(question.voucher.channelId, async () => {
        const standing = await readStanding(parts, question);
        const repeated = await findRepeated(parts, question, standing);
        if (repeated !== null) {
          listener.admitted(repeated.id);
          listener.text(repeated.choices[0].message.content);
          return repeated;
        }
        if (!standing.admission.ok) throw refusal(parts, question, standing);
        return answerPaid(parts, question, listener, { ...standing, payer: standing.admission.payer });
      }),
  };
}

type Standing = { channel: ChannelView | null; chargedWei: bigint; admission: Admission };

/** Where the channel stands. After a loss of our rows the chain's claims are the floor of what was charged. */
async function readStanding(parts: AnswererParts, { voucher }: Question): Promise<Standing> {
  const { terms } = parts;
  const channel = await readChannel(parts, terms.escrow, voucher.channelId);
  const [booked, signer] = await Promise.all([
    readCharged(parts.db, voucher.channelId),
    vouchers.signer(terms.escrow as Address, terms.chainId, voucher),
  ]);
  const claimedWei = channel?.totalClaimedWei ?? 0n;
  const chargedWei = booked > claimedWei ? booked : claimedWei;
  const { maxClaimableWei } = voucher;
  const offer = { channel, signer, maxClaimableWei, chargedWei, feeWei: parts.registered.feeWei };
  return { channel, chargedWei, admission: admit(offer, { hub: terms.hub, node: terms.node }) };
}

/** The stored answer, if the voucher is used up and its last answer was to this question. */
async function findRepeated(
  parts: AnswererParts,
  question: Question,
  standing: Standing,
): Promise<Completion | null> {
  const { admission } = standing;
  if (admission.ok || admission.reason !== "voucher_too_low") return null;
  const { channelId, maxClaimableWei } = question.voucher;
  const stored = await findAnswerWithin(parts.db, channelId, maxClaimableWei);
  if (stored === null || stored.modelId !== parts.registered.modelId) return null;
  const { cumulativeChargedWei } = stored;
  const requestId = parts.issuer.requestId({ channelId, cumulativeChargedWei, question: question.question });
  return (stored.receipt as { requestId: Hex }).requestId === requestId
    ? (stored.response as Completion)
    : null;
}

async function answerPaid(
  parts: AnswererParts,
  { question, params, voucher }: Question,
  listener: Listener,
  { payer, chargedWei }: { payer: Hex; chargedWei: bigint },
): Promise<Completion> {
  const { feeWei } = parts.registered;
  const { channelId } = voucher;
  const promptTokensMax = parts.model.contextTokensMax - params.maxTokens;
  const chosen = choose(parts.index.current(), parts.tokenizer, question, { ...parts, promptTokensMax });
  if (chosen === null) throw new ContextTooLongError(promptTokensMax);
  const cumulativeChargedWei = chargedWei + feeWei;
  listener.admitted(idOf(parts.issuer.requestId({ channelId, cumulativeChargedWei, question })));
  const generated = await generate(parts, chosen, params, listener);
  const citations = cite(generated.answer, chosen.context);
  const charge = { voucher, chargedBeforeWei: chargedWei, feeWei };
  return commitAnswer(parts.db, charge, async (number) => {
    const issued = await parts.issuer.issue({
      ...generated,
      ...parts.registered,
      payer,
      adapterHashes: parts.registered.adapterHash === null ? [] : [parts.registered.adapterHash],
      profileHash: parts.model.profile(
        parts.registered.adapterHash === null ? [] : [parts.registered.modelId],
      ).hash,
      channelId,
      cumulativeChargedWei,
      feeWei,
      question,
      promptTokens: chosen.promptTokenIds.length,
      candidates: chosen.candidates,
      params,
      servedAt: parts.clock.servedAt(number),
    });
    return { issued, response: complete({ ...generated, citations, issued }) };
  });
}

type Generated = { answer: string; answerTokenIds: number[]; finishReason: "stop" | "length" };

/**
 * Generate the answer. `answerTokenIds` are what the model emitted, with the end token where it ended by itself:
 * that is what is scored. `answer` is their text without leading white space and NUL (PostgreSQL holds none).
 */
async function generate(
  parts: AnswererParts,
  { promptTokenIds }: Context,
  params: DecodingParams,
  listener: Listener,
): Promise<Generated> {
  const { tokenizer } = parts;
  const stopTokenIds = tokenizer.stopTokenIds.slice(0, 1);
  const stream = createTextStream(tokenizer);
  let answer = "";
  const add = (piece: string) => {
    const text = answer === "" ? piece.replaceAll("\0", "").trimStart() : piece.replaceAll("\0", "");
    if (text === "") return;
    answer += text;
    listener.text(text);
  };
  const { adapterHash, modelId } = parts.registered;
  const generation = await parts.model.generate({
    promptTokenIds,
    adapter: adapterHash === null ? null : modelId,
    tokensMax: params.maxTokens,
    temperature: params.temperatureMilli / 1000,
    ...(params.topK === 0 ? {} : { topK: params.topK }),
    topP: params.topPMilli / 1000,
    seed: params.seed,
    stopTokenIds,
    onToken: ({ tokenId }) => add(stream.push(tokenId)),
  });
  add(stream.end());
  const finishReason = endOf(generation);
  return {
    answer,
    answerTokenIds: [...generation.tokenIds, ...(finishReason === "stop" ? stopTokenIds : [])],
    finishReason,
  };
}

function endOf({ finishReason }: Generation): "stop" | "length" {
  invariant(finishReason !== "aborted", "nothing aborts an answer");
  return finishReason;
}

function refusal(
  parts: AnswererParts,
  { voucher }: Question,
  { admission, chargedWei }: Standing,
): PaymentRequiredError {
  invariant(!admission.ok, "only a refused call is refused");
  const { feeWei } = parts.registered;
  return new PaymentRequiredError(admission, {
    ...parts.terms,
    channelId: voucher.channelId,
    chargedWei,
    feeWei,
  });
}

export class ContextTooLongError extends PipelineError {
  override readonly name = "ContextTooLongError";
  constructor(promptTokensMax: number) {
    super(`question is too long for the model. Max: ${promptTokensMax} tokens with the prompt's frame.`, {
      code: "context_length_exceeded",
      retryable: false,
    });
  }
}
