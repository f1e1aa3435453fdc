import type { Hex } from "viem";
import { z } from "zod";
import { PipelineError } from "#schema/errors";
import type { PaymentRequiredJson } from "#serving/payment/payment-required";
import { splitLines } from "../up/log.ts";
import { openingJson, receiptJson } from "./receipt.ts";

/** Why a voucher does not pay for the question, and what does. */
export type Refusal = Pick<PaymentRequiredJson, "reason" | "remedy" | "requiredMaxWei">;

/** Who must sign the receipt, for which hub on which chain. */
export type Terms = { chainId: bigint; hub: Hex; node: Hex };

/** `voucher` is null where only the terms are asked for. */
type Question = { model: string; question: string; voucher: string | null };

const models = z.object({
  data: z.array(z.object({ id: z.string(), root: z.string(), fee_wei: z.coerce.bigint() })),
});
const health = z.object({ chunks: z.int() });
/** An error in OpenAI's shape; of a 402 the details beside it. */
const refusal = z.object({ reason: z.string(), remedy: z.string(), requiredMaxWei: z.string() });
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text.toLowerCase() as Hex);
const stated = z.object({ chainId: z.coerce.bigint(), receiver: address, receiverAuthorizer: address });
const failure = z.object({ error: z.object({ message: z.string() }) });
/** What comes with the last piece of an answer, as far as a reader is told of it. */
const closingPart = z.object({
  citations: z.array(
    z.object({
      index: z.int(),
      source: z.string(),
      contributor: z.string(),
      contribution_id: z.string(),
      quote: z.string(),
    }),
  ),
  receipt: receiptJson,
  opening: openingJson,
});
const piece = closingPart.partial().extend({
  choices: z.array(z.object({ delta: z.object({ content: z.string().default("") }) })),
});

/** `content` is the whole text, with the markers of the citations. */
export type Closing = z.output<typeof closingPart> & { content: string };

/**
 * What a question costs, in wei, and of which model. `url` is the node's OpenAI base URL.
 * @throws NodeUnreachableError; NodeRefusedError: not ready; ModelUnknownError; DatanetsEmptyError.
 */
export async function readNode(url: string, model: string): Promise<{ feeWei: bigint; modelId: string }> {
  const { data } = models.parse(await readJson(url, `${url}/models`));
  const served = data.find(({ id }) => id === model.toLowerCase() || id === model);
  if (served === undefined) {
    const ids = data.map(({ id }) => id);
    throw new ModelUnknownError(model, ids);
  }
  const { chunks } = health.parse(await readJson(url, new URL("/health", url).href));
  if (chunks === 0) throw new DatanetsEmptyError();
  return { feeWei: served.fee_wei, modelId: served.root };
}

/** What the node says of itself to one who has not paid. @throws NodeUnreachableError; NodeRefusedError */
export async function readTerms(url: string, model: string): Promise<Terms> {
  const response = await post(url, { model, question: "terms?", voucher: null });
  if (response.status !== 402) throw new NodeRefusedError(url, await reasonOf(response));
  const { chainId, receiver, receiverAuthorizer } = stated.parse(await response.json());
  return { chainId, hub: receiver, node: receiverAuthorizer };
}

/** Asks, and hands on the answer's text as it comes. @throws NodeUnreachableError; NodeRefusedError */
export async function sendQuestion(
  url: string,
  question: Question,
  onText: (text: string) => void,
): Promise<Closing | Refusal> {
  const response = await post(url, question);
  if (response.status === 402) return refusal.parse(await response.json()) as Refusal;
  if (!response.ok || response.body === null) throw new NodeRefusedError(url, await reasonOf(response));
  return readStream(url, response.body, onText);
}

function post(url: string, { model, question, voucher }: Question): Promise<Response> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: question }], stream: true });
  const headers = {
    "content-type": "application/json",
    ...(voucher !== null && { "x-payment-voucher": voucher }),
  };
  return reach(url, `${url}/chat/completions`, { method: "POST", headers, body });
}

/** Server-sent chunks until `[DONE]`; the closing one carries citations and receipt. */
async function readStream(
  url: string,
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void,
): Promise<Closing> {
  let closing: Closing | null = null;
  let content = "";
  const lines = splitLines((line) => {
    const data = line.replace(/^data: ?/, "");
    if (data === line || data === "[DONE]") return;
    const json: unknown = JSON.parse(data);
    const failed = failure.safeParse(json);
    if (failed.success) throw new NodeRefusedError(url, failed.data.error.message);
    const { choices, receipt, citations, opening } = piece.parse(json);
    for (const { delta } of choices) {
      content += delta.content;
      onText(delta.content);
    }
    if (receipt !== undefined && citations !== undefined && opening !== undefined)
      closing = { receipt, citations, opening, content };
  });
  const decoder = new TextDecoder();
  for await (const bytes of stream) lines.push(decoder.decode(bytes, { stream: true }));
  lines.end();
  if (closing === null) throw new NodeRefusedError(url, "its answer ended without a receipt.");
  return closing;
}

async function readJson(url: string, address: string): Promise<unknown> {
  const response = await reach(url, address);
  if (!response.ok) throw new NodeRefusedError(url, await reasonOf(response));
  return response.json();
}

async function reach(url: string, address: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(address, init);
  } catch (cause) {
    throw new NodeUnreachableError(url, cause);
  }
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return failure.parse(JSON.parse(text)).error.message;
  } catch {
    // Something else listens there: what it said is all there is.
    return `${response.status} ${text.slice(0, 200)}`;
  }
}

export class NodeUnreachableError extends PipelineError {
  override readonly name = "NodeUnreachableError";
  constructor(url: string, cause: unknown) {
    super(
      `No node answers at ${url}. Start one, with data to ask about: npm run demo -- --keep (it answers once its table is printed). Or name another with --url.`,
      { code: "node_unreachable", retryable: true, cause },
    );
  }
}

export class NodeRefusedError extends PipelineError {
  override readonly name = "NodeRefusedError";
  constructor(url: string, reason: string) {
    super(`The node at ${url} says: ${reason}`, { code: "node_refused", retryable: true });
  }
}

export class ModelUnknownError extends PipelineError {
  override readonly name = "ModelUnknownError";
  constructor(model: string, served: readonly string[]) {
    super(`The node does not serve ${model}. --model takes one of: ${served.join(", ")}.`, {
      code: "model_unknown",
      retryable: false,
    });
  }
}

export class DatanetsEmptyError extends PipelineError {
  override readonly name = "DatanetsEmptyError";
  constructor() {
    super(
      "The Datanets are empty: no contribution is accepted and final yet, so there is nothing to answer from. `npm run demo -- --keep` fills them and stays up.",
      { code: "datanets_empty", retryable: true },
    );
  }
}
