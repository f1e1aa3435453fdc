import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** The node's metrics: vLLM's names and meanings with `openlora_` for `vllm:`. Times are from arrival, in seconds. */
export type Metrics = ReturnType<typeof createMetrics>;

const secondsBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "openlora_" });
  return {
    registry,
    requestsRunning: new Gauge({
      name: "openlora_num_requests_running",
      help: "Requests in the house.",
      registers,
    }),
    requestSuccess: new Counter({
      name: "openlora_request_success_total",
      help: "Answered requests.",
      labelNames: ["finished_reason"],
      registers,
    }),
    requestRefused: new Counter({
      name: "openlora_request_refused_total",
      help: "Requests without an answer, by error code.",
      labelNames: ["code"],
      registers,
    }),
    timeToFirstToken: new Histogram({
      name: "openlora_time_to_first_token_seconds",
      help: "Arrival to first text.",
      buckets: secondsBuckets,
      registers,
    }),
    requestLatency: new Histogram({
      name: "openlora_e2e_request_latency_seconds",
      help: "Arrival to committed answer.",
      buckets: secondsBuckets,
      registers,
    }),
    promptTokens: new Counter({
      name: "openlora_prompt_tokens_total",
      help: "Prompt tokens of answers.",
      registers,
    }),
    generationTokens: new Counter({
      name: "openlora_generation_tokens_total",
      help: "Tokens of answers.",
      registers,
    }),
    chargedGwei: new Counter({
      name: "openlora_charged_gwei_total",
      help: "Fees charged, in 1e9 wei.",
      registers,
    }),
    indexedChunks: new Gauge({
      name: "openlora_indexed_chunks",
      help: "Chunks that can be retrieved.",
      registers,
    }),
    ...createSettlerMetrics(registers),
  };
}

function createSettlerMetrics(registers: Registry[]) {
  return {
    batches: new Counter({
      name: "openlora_batches_total",
      help: "Batches that reached a state.",
      labelNames: ["state"],
      registers,
    }),
    answersUnpaid: new Counter({
      name: "openlora_answers_unpaid_total",
      help: "Answers nobody pays: their channels were emptied before they were settled.",
      registers,
    }),
    settlerFailures: new Counter({
      name: "openlora_settler_failures_total",
      help: "Settler steps that failed and are tried again, by error code.",
      labelNames: ["code"],
      registers,
    }),
  };
}
