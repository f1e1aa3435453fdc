/** What callers ask, checked against the model and turned into what workers do. */
import type { Decoder } from "#runtime/decoder/description";
import { ModelRuntimeError } from "#runtime/errors";
import { cacheBytes } from "#runtime/inference/chunks";
import type { GeneratedToken, GenerateTask } from "#runtime/inference/generate";
import type { LogProbTask } from "#runtime/inference/judge";
import { MemoryLimitError } from "#runtime/memory";
import type { AdapterBank, SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import { check, checkTokens, isObject, strayIndex } from "#runtime/request";

/** Largest seed of the sampler. */
const seedMax = 2n ** 64n - 1n;

/** Which adapter a request follows. */
export interface AdapterChoice {
  /** Name given to `loadAdapter`; null, the default, is the base model. */
  readonly adapter?: string | null | undefined;
}

/** One answer to judge under one prompt. Both have at least one token. */
export interface LogProbRequest extends AdapterChoice {
  readonly promptTokenIds: readonly number[];
  readonly answerTokenIds: readonly number[];
  /**
   * Where the prompt is cut into parts: ascending, inside it. Parts run one after the other, and requests of one
   * call that begin with the same parts, cut alike, share their work: contexts made of the same passages, cut
   * after each passage, cost about one passage each. A result's bits follow from its own prompt and cuts,
   * whatever is shared; cut elsewhere it agrees to about 1e-5. None by default.
   */
  readonly cuts?: readonly number[] | undefined;
}

/** What to generate. Ids must be in the vocabulary; the prompt must fit the context. */
export interface GenerateRequest extends AdapterChoice {
  readonly promptTokenIds: readonly number[];
  /** Most tokens to generate; cut to what the context leaves. */
  readonly tokensMax: number;
  /** 0 is greedy; otherwise logits are divided by it. */
  readonly temperature: number;
  readonly topK?: number | undefined;
  /** In (0, 1]. */
  readonly topP?: number | undefined;
  /** Above 1 makes tokens of the prompt and the answer so far less likely; 1, the default, changes nothing. */
  readonly repetitionPenalty?: number | undefined;
  /** u64 of the sampler's generator (PCG-XSH-RR 64/32). The same request and seed give the same tokens. */
  readonly seed: bigint;
  /** Generation ends before any of these; none by default. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Ends the generation after the token at hand, with finishReason `aborted`; it does not throw. */
  readonly signal?: AbortSignal | undefined;
  /** Called once per token, in order, while the rest is computed. An error it throws becomes the call's. */
  readonly onToken?: ((token: GeneratedToken) => void) | undefined;
}

/** What a request is checked against. */
export interface TaskLimits {
  readonly config: Decoder;
  readonly bank: AdapterBank;
  readonly cacheBytesMax: number;
}

/** @throws InvalidRequestError, ContextExceededError, MemoryLimitError, AdapterUnknownError */
export function checkGenerate(limits: TaskLimits, request: GenerateRequest): GenerateTask {
  const { config, bank } = limits;
  check(isObject(request), "request", "an object", request);
  const { tokensMax, temperature, topK, topP, repetitionPenalty, seed, stopTokenIds = [] } = request;
  checkTokens(config, "promptTokenIds", request.promptTokenIds);
  checkContext(config, request.promptTokenIds.length);
  check(Number.isSafeInteger(tokensMax) && tokensMax >= 1, "tokensMax", "a whole number from 1", tokensMax);
  check(
    Number.isFinite(temperature) && temperature >= 0,
    "temperature",
    "finite and not negative",
    temperature,
  );
  check(
    topK === undefined || (Number.isSafeInteger(topK) && topK >= 1),
    "topK",
    "a whole number from 1",
    topK,
  );
  const isWithin = (given: unknown, min: number, max: number) =>
    given === undefined || (typeof given === "number" && given >= min && given <= max);
  check(isWithin(topP, Number.MIN_VALUE, 1), "topP", "above 0, up to 1", topP);
  check(isWithin(repetitionPenalty, 0.01, 100), "repetitionPenalty", "0.01 to 100", repetitionPenalty);
  const { contextTokensMax } = config;
  checkMemory(limits, Math.min(contextTokensMax, request.promptTokenIds.length + tokensMax));
  const isSeed = typeof seed === "bigint" && seed >= 0n && seed <= seedMax;
  check(isSeed, "seed", "an unsigned 64-bit integer", seed);
  const areTokens = Array.isArray(stopTokenIds) && strayIndex(stopTokenIds, Number.MAX_SAFE_INTEGER) < 0;
  check(areTokens, "stopTokenIds", "a list of token ids", stopTokenIds);
  const { signal, onToken } = request;
  check(signal === undefined || signal instanceof AbortSignal, "signal", "an AbortSignal", signal);
  check(onToken === undefined || typeof onToken === "function", "onToken", "a function", onToken);
  return {
    promptTokenIds: [...request.promptTokenIds],
    adapter: adapterOf(bank, request),
    tokensMax,
    temperature,
    ...(topK === undefined ? {} : { topK }),
    ...(topP === undefined ? {} : { topP }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    seed,
    stopTokenIds: [...stopTokenIds],
  };
}

/** @throws InvalidRequestError, ContextExceededError, MemoryLimitError, AdapterUnknownError */
export function checkLogProb(limits: TaskLimits, request: LogProbRequest): LogProbTask {
  const { config, bank } = limits;
  check(isObject(request), "requests", "a list of requests", request);
  checkTokens(config, "promptTokenIds", request.promptTokenIds);
  checkTokens(config, "answerTokenIds", request.answerTokenIds);
  checkContext(config, request.promptTokenIds.length + request.answerTokenIds.length);
  const { promptTokenIds, answerTokenIds, cuts = [] } = request;
  check(Array.isArray(cuts), "cuts", "a list of positions", cuts);
  // Unlike `every`, `findIndex` looks at holes too.
  const isNoCut = (cut: number, index: number) =>
    !(Number.isSafeInteger(cut) && cut > (cuts[index - 1] ?? 0));
  check(
    cuts.findIndex(isNoCut) < 0 && (cuts.at(-1) ?? 0) < promptTokenIds.length,
    "cuts",
    "ascending, from 1 to the tokens of the prompt less 1",
    cuts,
  );
  checkMemory(limits, promptTokenIds.length + answerTokenIds.length);
  return { promptTokenIds, answerTokenIds, cuts, adapter: adapterOf(bank, request) };
}

/** Keys and values of the sequence must fit. */
function checkMemory({ config, cacheBytesMax }: TaskLimits, tokens: number): void {
  const bytes = cacheBytes(config, tokens, 1);
  if (bytes <= cacheBytesMax) return;
  const remedy = "Shorten the prompt, lower tokensMax, or open the model with more.";
  throw new MemoryLimitError(`Sequence of ${tokens} tokens`, "cacheBytesMax", cacheBytesMax, bytes, remedy);
}

/** @throws AdapterUnknownError */
function adapterOf(bank: AdapterBank, { adapter = null }: AdapterChoice): SharedAdapter | null {
  return adapter === null ? null : bank.get(adapter).shared;
}

function checkContext(config: Decoder, tokens: number): void {
  if (tokens > config.contextTokensMax) throw new ContextExceededError(config.contextTokensMax, tokens);
}

/** Prompt and answer are longer than the model's context. */
export class ContextExceededError extends ModelRuntimeError {
  constructor(tokensMax: number, tokens: number) {
    super(
      "context-exceeded",
      `Sequence is too long. Max: ${tokensMax} tokens. Given: ${tokens} tokens. Shorten the prompt.`,
    );
  }
}
