import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { streamSSE } from "hono/streaming";
import type { Hex } from "viem";
import type { Log } from "#schema/log";
import type { Completion } from "../answer/answer.ts";
import type { Answerer, Listener, Question } from "../answer/answerer.ts";
import type { Clock } from "../clock.ts";
import { bodyBytesMax, requestsMax } from "../constants.ts";
import type { Metrics } from "../metrics.ts";
import { remedies } from "../payment/admission.ts";
import { PaymentRequiredError, type PaymentTerms } from "../payment/payment-required.ts";
import * as voucher from "../payment/voucher.ts";
import { ChatRequestError, readChatRequest } from "./chat-request.ts";
import { createChatStream } from "./chat-stream.ts";
import { ModelNotFoundError, NotReadyError, OverloadedError, toErrorResponse } from "./error-response.ts";

/** One model that answers: the base, or an adapter of it. `names` are what it may be called beside its id. */
export type ServedModel = {
  answerer: Answerer;
  modelId: Hex;
  /** The base of an adapter. */
  parentId: Hex | null;
  names: readonly string[];
  feeWei: bigint;
  /** Chunks that can be retrieved. */
  indexedChunks: () => number;
};

/** What answers, once the base is registered and loaded: it stands first. */
export type Service = { models: () => readonly [ServedModel, ...ServedModel[]]; terms: PaymentTerms };

export type AppParts = {
  /** Null until the node is ready; requests get 503 meanwhile. */
  service: () => Service | null;
  clock: Clock;
  metrics: Metrics;
  log: Log;
};

type ReadyParts = AppParts & Service;
type AskedParts = AppParts & Pick<Service, "terms"> & ServedModel;

/**
 * The node's HTTP face: `POST /v1/chat/completions`, `GET /v1/models`, `GET /health`, `GET /metrics`.
 * Errors have OpenAI's shape; 402 says what to pay, 429 that `requestsMax` requests are in the house.
 */
export function createApp(parts: AppParts): Hono {
  const app = new Hono();
  let running = 0;
  app.onError((error, c) => {
    const { status, body } = toErrorResponse(error);
    parts.metrics.requestRefused.inc({ code: body.error.code ?? "unknown" });
    if (status === 500) parts.log.error("request failed", error);
    return c.json(body, status);
  });
  app.notFound((c) =>
    c.json(
      {
        error: {
          message: `no ${c.req.method} ${c.req.path}`,
          type: "invalid_request_error",
          param: null,
          code: "not_found",
        },
      },
      404,
    ),
  );
  app.get("/health", (c) => {
    const [base, ...adapters] = ready(parts).models();
    const { modelId, indexedChunks } = base;
    return c.json({
      status: "ok",
      model: modelId,
      adapters: adapters.length,
      chunks: indexedChunks(),
      running,
    });
  });
  app.get("/metrics", async (c) => {
    c.header("content-type", parts.metrics.registry.contentType);
    return c.body(await parts.metrics.registry.metrics());
  });
  app.get("/v1/models", (c) => c.json(modelList(ready(parts))));
  app.post("/v1/chat/completions", bodyLimit({ maxSize: bodyBytesMax, onError: refuseBody }), async (c) => {
    if (running >= requestsMax) throw new OverloadedError();
    const release = () => parts.metrics.requestsRunning.set(--running);
    parts.metrics.requestsRunning.set(++running);
    try {
      return await chat(ready(parts), c, release);
    } catch (error) {
      release();
      throw error;
    }
  });
  return app;
}

/** `release` is called once the answer is done, which in a stream is after this returns; by the caller if this throws. */
async function chat(service: ReadyParts, c: Context, release: () => void): Promise<Response> {
  const arrivedMs = performance.now();
  const request = readChatRequest(await readJson(c));
  const parts: AskedParts = { ...service, ...findModel(service, request.model) };
  const question = { question: request.question, params: request.params, voucher: readVoucher(parts, c) };
  if (!request.isStream) {
    const completion = await answer(parts, question, silent, arrivedMs);
    release();
    return c.json(completion);
  }
  const run = await start(parts, question, arrivedMs);
  return streamSSE(c, async (sse) => {
    const { id } = run;
    const created = Number(parts.clock.now());
    const send = (data: string) => sse.writeSSE({ data });
    const stream = createChatStream({
      id,
      created,
      model: parts.modelId,
      includesUsage: request.includesUsage,
      send,
    });
    try {
      for await (const piece of run.pieces()) await stream.text(piece);
      await stream.end(await run.completion);
    } catch (error) {
      parts.log.error("stream failed", error);
      await stream.fail(error);
    } finally {
      release();
    }
  });
}

const silent: Listener = { admitted: ignore, text: ignore };

async function answer(
  parts: AskedParts,
  question: Question,
  listener: Listener,
  arrivedMs: number,
): Promise<Completion> {
  const { metrics } = parts;
  let isFirst = true;
  const completion = await parts.answerer.answer(question, {
    admitted: listener.admitted,
    text: (piece) => {
      if (isFirst) metrics.timeToFirstToken.observe((performance.now() - arrivedMs) / 1000);
      isFirst = false;
      listener.text(piece);
    },
  });
  metrics.requestLatency.observe((performance.now() - arrivedMs) / 1000);
  metrics.requestSuccess.inc({ finished_reason: completion.choices[0].finish_reason });
  metrics.promptTokens.inc(completion.usage.prompt_tokens);
  metrics.generationTokens.inc(completion.usage.completion_tokens);
  metrics.chargedGwei.inc(Number(parts.feeWei / 1_000_000_000n));
  return completion;
}

/** An answer under way: resolves once it is paid for, so that a refusal still gets its status. Pieces wait to be read. */
async function start(parts: AskedParts, question: Question, arrivedMs: number) {
  const pieces = new TransformStream<string, string>(undefined, { highWaterMark: Number.POSITIVE_INFINITY });
  const writer = pieces.writable.getWriter();
  const admitted = Promise.withResolvers<string>();
  const listener = { admitted: admitted.resolve, text: (piece: string) => void writer.write(piece) };
  const completion = answer(parts, question, listener, arrivedMs);
  // The stream's end is the answer's; its failure reaches the reader through `completion`, and the caller through `admitted`.
  completion
    .then(
      () => writer.close(),
      (error) => {
        admitted.reject(error);
        return writer.close();
      },
    )
    .catch((error) => parts.log.error("closing a stream failed", error));
  return { id: await admitted.promise, pieces: () => pieces.readable, completion };
}

async function readJson(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch {
    // The body is from a stranger: what is no JSON is their error.
    throw new ChatRequestError(null, "the body is not JSON");
  }
}

function readVoucher(parts: AskedParts, c: Context): voucher.Voucher {
  const header = c.req.header("x-payment-voucher");
  const due = { ...parts.terms, chargedWei: 0n, feeWei: parts.feeWei };
  if (header === undefined) {
    throw new PaymentRequiredError({ reason: "voucher_missing", remedy: remedies.voucher_missing }, due);
  }
  const decoded = voucher.decode(header);
  if (decoded.ok) return decoded.value;
  const remedy = `${decoded.reason}. ${remedies.voucher_malformed}`;
  throw new PaymentRequiredError({ reason: "voucher_malformed", remedy }, due);
}

function ready(parts: AppParts): ReadyParts {
  const service = parts.service();
  if (service === null) throw new NotReadyError();
  return { ...parts, ...service };
}

/** By id, or by name: of two models with one name the first. @throws ModelNotFoundError */
function findModel({ models }: Service, asked: string): ServedModel {
  const served = models();
  const found =
    served.find(({ modelId }) => modelId === asked.toLowerCase()) ??
    served.find(({ names }) => names.includes(asked));
  if (found === undefined) throw new ModelNotFoundError(asked);
  return found;
}

function modelList({ models }: Service) {
  const entries = models().flatMap(({ modelId, parentId, names, feeWei }) =>
    [modelId, ...names].map((id) => ({
      id,
      object: "model",
      created: 0,
      owned_by: "tributary",
      root: modelId,
      parent: parentId,
      fee_wei: feeWei.toString(),
    })),
  );
  return { object: "list", data: entries };
}

function refuseBody(): never {
  throw new ChatRequestError(null, `the body is too large. Max: ${bodyBytesMax} bytes.`);
}

function ignore(): undefined {
  return undefined;
}
