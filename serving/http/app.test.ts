import { type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { createLog } from "#schema/log";
import type { Completion } from "../answer/answer.ts";
import type { Answerer } from "../answer/answerer.ts";
import { createClock } from "../clock.ts";
import { bodyBytesMax, questionCharactersMax, requestsMax } from "../constants.ts";
import { createMetrics } from "../metrics.ts";
import { PaymentRequiredError } from "../payment/payment-required.ts";
import * as voucher from "../payment/voucher.ts";
import { createApp, type ServedModel, type Service } from "./app.ts";

const modelId = keccak256(toHex("model"));
const address: Hex = `0x${"ab".repeat(20)}`;
const terms = { chainId: 1n, escrow: address, token: address, hub: address, node: address };
const completion = {
  id: "chatcmpl-1",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "green. [1]", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  citations: [{ index: 1 }],
  receipt: { digest: modelId, signature: "0x" },
} as unknown as Completion;

/** The HTTP face over an answerer that does what a test needs; the real one is tested in node.test.ts. */
function faceOf(answer: Answerer["answer"]) {
  const lines: string[] = [];
  const base: ServedModel = {
    ...{ answerer: { answer }, modelId, parentId: null, names: ["quote"], feeWei: 5n },
    indexedChunks: () => 0,
  };
  const service: Service = { models: () => [base], terms };
  const clock = createClock({ kind: "fixed", baseSeconds: 7n });
  const metrics = createMetrics();
  const app = createApp({
    service: () => service,
    clock,
    metrics,
    log: createLog((line) => lines.push(line)),
  });
  return { app, lines, metrics };
}

const header = voucher.encode({ channelId: modelId, maxClaimableWei: 5n, signature: `0x${"11".repeat(65)}` });
const body = { model: "quote", messages: [{ role: "user", content: "What burns?" }] };
const post = (json: unknown, headers: Record<string, string> = { "x-payment-voucher": header }) => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: typeof json === "string" ? json : JSON.stringify(json),
});
const path = "/v1/chat/completions";
const answering: Answerer["answer"] = async (_, listener) => {
  listener.admitted("chatcmpl-1");
  listener.text("gre");
  listener.text("en.");
  return completion;
};

describe("the HTTP face", () => {
  it("reads the last user message, folded, with OpenAI's parameters", async () => {
    const asked: unknown[] = [];
    const { app } = faceOf(async (question, listener) => {
      asked.push(question);
      return answering(question, listener);
    });
    const messages = [
      { role: "system", content: "ignored" },
      { role: "user", content: "first" },
      { role: "assistant", content: "x" },
      { role: "user", content: [{ type: "text", text: " What \n burns? " }] },
    ];
    const options = { max_tokens: 9, temperature: 0.7, top_p: 0.25, seed: 4, user: "someone" };
    expect((await app.request(path, post({ ...body, messages, ...options }))).status).toBe(200);
    expect(asked[0]).toMatchObject({
      question: "What burns?",
      params: { maxTokens: 9, temperatureMilli: 700, topK: 0, topPMilli: 250, seed: 4n },
      voucher: { channelId: modelId, maxClaimableWei: 5n },
    });
  });

  it("answers errors in OpenAI's shape", async () => {
    const { app } = faceOf(answering);
    const failure = async (request: RequestInit) => {
      const response = await app.request(path, request);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      return [response.status, error.type, error.code, error.param];
    };
    const invalid = [400, "invalid_request_error", "invalid_request"];
    expect(await failure(post("{"))).toEqual([...invalid, null]);
    expect(await failure(post({ model: "quote" }))).toEqual([...invalid, "messages"]);
    expect(await failure(post({ ...body, max_tokens: 100_000 }))).toEqual([...invalid, "max_tokens"]);
    expect(await failure(post({ ...body, n: 2 }))).toEqual([...invalid, "n"]);
    expect(await failure(post({ ...body, messages: [{ role: "user", content: " " }] }))).toEqual([
      ...invalid,
      "messages",
    ]);
    expect(await failure(post({ ...body, messages: [{ role: "user", content: "a\0b" }] }))).toEqual([
      ...invalid,
      "messages",
    ]);
    const long = "a".repeat(questionCharactersMax + 1);
    expect(await failure(post({ ...body, messages: [{ role: "user", content: long }] }))).toEqual([
      ...invalid,
      "messages",
    ]);
    expect(await failure(post("x".repeat(bodyBytesMax + 1)))).toEqual([...invalid, null]);
    expect(await failure(post({ ...body, model: "gpt" }))).toEqual([
      404,
      "invalid_request_error",
      "model_not_found",
      "model",
    ]);
    expect(await failure(post(body, {}))).toEqual([402, "payment_required", "voucher_missing", null]);
    expect(await failure(post(body, { "x-payment-voucher": "?" }))).toEqual([
      402,
      "payment_required",
      "voucher_malformed",
      null,
    ]);
    expect((await app.request("/nothing")).status).toBe(404);
  });

  it("says what to pay, to whom, beside the error of a 402", async () => {
    const { app } = faceOf(answering);
    expect(await (await app.request(path, post(body, {}))).json()).toMatchObject({
      chargedWei: "0",
      feeWei: "5",
      requiredMaxWei: "5",
      reason: "voucher_missing",
      remedy: expect.stringContaining("x-payment-voucher"),
      receiver: address,
      receiverAuthorizer: address,
    });
  });

  it("streams pieces, markers, receipt and usage, and ends with [DONE]", async () => {
    const { app } = faceOf(answering);
    const response = await app.request(
      path,
      post({ ...body, stream: true, stream_options: { include_usage: true } }),
    );
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
    expect(lines.at(-1)).toBe("data: [DONE]");
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line.slice("data: ".length)));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).join("")).toBe("green. [1]");
    expect(chunks[0]).toMatchObject({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 7,
      choices: [{ delta: { role: "assistant" } }],
    });
    expect(chunks.at(-2)).toMatchObject({
      choices: [{ delta: {}, finish_reason: "stop" }],
      citations: [{ index: 1 }],
      receipt: { digest: modelId },
    });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 5 } });
  });

  it("refuses a stream with its status, and tells a later failure in the stream", async () => {
    const refusing = faceOf(async () => {
      throw new PaymentRequiredError(
        { reason: "voucher_too_low", remedy: "more" },
        { ...terms, chargedWei: 5n, feeWei: 5n },
      );
    });
    const refused = await refusing.app.request(path, post({ ...body, stream: true }));
    expect(refused.status).toBe(402);
    expect(await refused.json()).toMatchObject({ requiredMaxWei: "10", reason: "voucher_too_low" });
    const failing = faceOf(async (_, listener) => {
      listener.admitted("chatcmpl-1");
      listener.text("gre");
      throw new TypeError("a secret of ours");
    });
    const text = await (await failing.app.request(path, post({ ...body, stream: true }))).text();
    expect(text).toContain('"code":"internal"');
    expect(text).not.toContain("secret");
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(failing.lines.join()).toContain("secret");
  });

  it("lets no more requests in than it has room for, and lets the next in when one ends", async () => {
    const gate = Promise.withResolvers<void>();
    const { app } = faceOf(async (question, listener) => {
      await gate.promise;
      return answering(question, listener);
    });
    const inside = Array.from({ length: requestsMax }, () => app.request(path, post(body)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const refused = await app.request(path, post(body));
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { type: "rate_limit_error", code: "overloaded" } });
    gate.resolve();
    expect((await Promise.all(inside)).map(({ status }) => status)).toEqual(inside.map(() => 200));
    expect((await app.request(path, post(body))).status).toBe(200);
  });

  it("counts what it did", async () => {
    const { app, metrics } = faceOf(answering);
    await app.request(path, post(body));
    await app.request(path, post(body, {}));
    const text = await (await app.request("/metrics")).text();
    expect(text).toContain('openlora_request_success_total{finished_reason="stop"} 1');
    expect(text).toContain('openlora_request_refused_total{code="voucher_missing"} 1');
    expect((await metrics.requestsRunning.get()).values[0]?.value).toBe(0);
  });

  it("lists the model under its id and its aliases", async () => {
    const { app } = faceOf(answering);
    const list = (await (await app.request("/v1/models")).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual([modelId, "quote"]);
  });
});
