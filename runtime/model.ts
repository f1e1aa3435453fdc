import { type Decoder, type Linear, linearsOf } from "#runtime/decoder/description";
import { buildGraphs, type GraphChoice, type ModelGraphs } from "#runtime/decoder/inference-graphs";
import { ModelRuntimeError } from "#runtime/errors";
import { rowsMaxDefault } from "#runtime/inference/batcher";
import { type Device, DeviceInexactError, devices, takeDevice } from "#runtime/inference/device";
import type { GeneratedToken, GenerateTask, Generation } from "#runtime/inference/generate";
import { type LogProbTask, planBatches } from "#runtime/inference/log-prob";
import { createPool, type Pool, queueMaxDefault, threadsMax } from "#runtime/inference/pool";
import { detectCpuIsa, type ExecutionProfile, makeProfile } from "#runtime/inference/profile";
import { type WeightMode, weightModes } from "#runtime/inference/session-options";
import { isTarget } from "#runtime/lora/adapter";
import { readAdapter } from "#runtime/lora/adapter-folder";
import {
  type AdapterBank,
  createAdapterBank,
  type LoadedAdapter,
  type SharedAdapter,
} from "#runtime/multi-lora/adapter-bank";
import { slotsBuild } from "#runtime/multi-lora/slots-build";
import { check, checkTokens } from "#runtime/request";
import { hashAdapter, hashFiles } from "#runtime/weights/model-files";
import { locate, type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";

/** Most requests in one `logProb` call. */
export const logProbRequestsMax = 4096;

/** Largest `rowsMax`. */
const rowsLimit = 256;

/** Most bytes of factors of all loaded adapters, unless the caller sets another limit. */
const adaptersBytesMaxDefault = 4 * 1024 ** 3;

/** Longest name of an adapter. */
const adapterNameLengthMax = 256;

/** Largest seed of the sampler. */
const seedMax = 2n ** 64n - 1n;

export interface OpenOptions {
  /** Worker threads, each with one core's work and, unless `mapped`, its own copy of the weights. Default 1. */
  readonly threads?: number;
  /** Most answers a worker generates together; their steps share one reading of the weights. Default `rowsMaxDefault`. */
  readonly rowsMax?: number;
  /** Tasks that may wait for a worker. Default `queueMaxDefault`. */
  readonly queueMax?: number;
  /** Where the weights are while the model is open. Default `packed`. Part of the execution profile. */
  readonly weightMode?: WeightMode;
  /** What computes. Default `cpu`. A GPU takes one thread, generates only, and is one model's at a time. */
  readonly device?: Device;
  /**
   * Ends of the names of matrices that adapters may change (`q_proj`), or full names. None by default: then no
   * adapter can be loaded, and the graphs are those of the base model alone. Part of the execution profile.
   */
  readonly adaptableModules?: readonly string[];
  /** Most bytes of factors of all loaded adapters; threads share them. Default 4 GiB. */
  readonly adaptersBytesMax?: number;
  /**
   * Most bytes of prompts that each worker keeps, so that a prompt that begins like an earlier one of the same
   * adapter starts where they part. 0, the default, keeps none. It speeds generation up and changes it by about
   * 1e-5, depending on what came before; log-probabilities never use it. Part of the execution profile.
   */
  readonly prefixBytesMax?: number;
}

/** Which adapter a request follows. */
export interface AdapterChoice {
  /** Name given to `loadAdapter`; null, the default, is the base model. */
  readonly adapter?: string | null | undefined;
}

/** One answer to judge under one prompt. Both have at least one token. */
export interface LogProbRequest extends AdapterChoice {
  readonly promptTokenIds: readonly number[];
  readonly answerTokenIds: readonly number[];
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

/** A model loaded in worker threads. Close it when done, to end the threads and give back their memory. */
export interface Model extends AsyncDisposable {
  /** bytes32 identity of the model's files; see `hashArtifact`. */
  readonly artifactHash: `0x${string}`;
  readonly vocabularySize: number;
  /** Most tokens of prompt and answer together. */
  readonly contextTokensMax: number;
  generate(request: GenerateRequest): Promise<Generation>;
  /**
   * log p(answer | prompt) of each request in nats, summed over the answer's tokens, in request order.
   * Bit-identical whatever else is in the call, however many threads, for one profile and artifact, under
   * an adapter as on the base model.
   * @throws AdapterUnknownError; with code `not-finite` if the weights give no number; DeviceInexactError on a GPU.
   */
  logProb(requests: readonly LogProbRequest[]): Promise<number[]>;
  /**
   * Load a PEFT folder under a name. No session is rebuilt; answers under way go on. Adapters mix in one
   * running batch, and threads share their memory.
   * @throws AdapterKnownError if the name is taken; AdapterError if it does not fit the model, names a module
   * that is not adaptable, or finds no room; and as `readAdapter`.
   */
  loadAdapter(name: string, folder: string): Promise<LoadedAdapter>;
  /** Give up a name. Answers that began with the adapter end with it; then its memory goes. @throws AdapterUnknownError */
  unloadAdapter(name: string): void;
  /** The loaded adapters, oldest first. */
  adapters(): LoadedAdapter[];
  /** The profile of results on the base model, or in which these adapters took part. @throws AdapterUnknownError */
  profile(adapters?: readonly string[]): ExecutionProfile;
  close(): Promise<void>;
}

/**
 * Load a Hugging Face folder; `families/config.ts` lists the model types.
 * @throws ModelFolderError, ModelConfigError, WeightFileError or WeightMismatchError for the folder;
 * InvalidRequestError for the options; DeviceBusyError; codes `session-failed`, `device-unavailable` and
 * `worker-crashed` from the workers.
 */
export async function openModel(folder: string, options: OpenOptions = {}): Promise<Model> {
  const checked = checkOptions(options);
  const { weightMode, device } = checked;
  const read = await readModelFolder(folder);
  const { config, quantisation } = read;
  const linears = adaptable(config, checked.adaptableModules);
  const choice = graphChoice(linears, checked);
  const graphs = buildGraphs(read, choice);
  const { pool, hashes, close } = await start(read, { graphs, choice, linears }, checked);
  const { artifactHash, weightHashes } = hashes;
  const { ortVersion } = pool;
  const cpuIsa = await detectCpuIsa();
  const parts = { ortVersion, cpuIsa, graphs, weightHashes, quantisation, weightMode, device };
  const bank = createAdapterBank(linears, checked.adaptersBytesMax);
  return {
    artifactHash,
    vocabularySize: config.vocabularySize,
    contextTokensMax: config.contextTokensMax,
    generate: async (request) => {
      const task = checkGenerate(config, bank, request);
      return pool.generate(task, request.signal, request.onToken ?? ignoreToken);
    },
    logProb: async (requests) => {
      if (device !== "cpu") throw new DeviceInexactError(device);
      return logProb(pool, config, bank, requests);
    },
    loadAdapter: async (name, adapterFolder) => {
      const isName = typeof name === "string" && name.length >= 1 && name.length <= adapterNameLengthMax;
      check(isName, "name", `1 to ${adapterNameLengthMax} characters`, name);
      const hash = await hashAdapter(adapterFolder);
      return bank.add(name, hash, await readAdapter(adapterFolder));
    },
    unloadAdapter: bank.remove,
    adapters: bank.list,
    profile: (adapters = []) =>
      makeProfile({ ...parts, adapterHashes: [...new Set(adapters)].map((name) => bank.get(name).hash) }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Start the workers while the files are hashed. What was started is closed if either fails. */
async function start(
  read: ModelFolder,
  { graphs, choice, linears }: { graphs: ModelGraphs; choice: GraphChoice; linears: readonly Linear[] },
  options: Required<OpenOptions>,
) {
  const located = locate(read);
  const spec = {
    folder: read.path,
    config: read.config,
    graphs: located === read ? graphs : buildGraphs(located, choice),
    weightMode: options.weightMode,
    device: options.device,
    isQuantised: read.quantised.size > 0,
    linears,
    prefixBytesMax: options.prefixBytesMax,
  };
  const giveBack = takeDevice(options.device);
  const [starting, hashing] = await Promise.allSettled([createPool(spec, options), hashFiles(read.files)]);
  const close = async () => {
    if (starting.status === "fulfilled") await starting.value.close();
    giveBack();
  };
  if (starting.status === "fulfilled" && hashing.status === "fulfilled") {
    return { pool: starting.value, hashes: hashing.value, close };
  }
  await close();
  throw starting.status === "rejected" ? starting.reason : (hashing as PromiseRejectedResult).reason;
}

/** The matrices that adapters may change. @throws InvalidRequestError naming a module that the model lacks. */
function adaptable(config: Decoder, modules: readonly string[]): Linear[] {
  const linears = linearsOf(config);
  const stray = modules.find((module) => !linears.some(({ name }) => isTarget([module], name)));
  check(stray === undefined, "adaptableModules", "names of the model's matrices or their ends", stray);
  return linears.filter(({ name }) => isTarget(modules, name));
}

function graphChoice(linears: readonly Linear[], { prefixBytesMax }: Required<OpenOptions>): GraphChoice {
  const names = new Set(linears.map(({ name }) => name));
  return {
    ...(names.size > 0 ? { makeBuild: slotsBuild(({ name }) => names.has(name)) } : {}),
    canExtend: prefixBytesMax > 0,
  };
}

function checkOptions(options: OpenOptions): Required<OpenOptions> {
  const checked = {
    threads: 1,
    queueMax: queueMaxDefault,
    rowsMax: rowsMaxDefault,
    weightMode: "packed",
    device: "cpu",
    adaptableModules: [],
    adaptersBytesMax: adaptersBytesMaxDefault,
    prefixBytesMax: 0,
    ...options,
  } as const;
  const { threads, queueMax, rowsMax, weightMode, device, adaptersBytesMax, prefixBytesMax } = checked;
  const isCount = (given: number, max: number) => Number.isSafeInteger(given) && given >= 1 && given <= max;
  check(devices.includes(device), "device", devices.join(" or "), device);
  const threadsAllowed = device === "cpu" ? threadsMax : 1;
  check(isCount(threads, threadsAllowed), "threads", `1 to ${threadsAllowed} on ${device}`, threads);
  check(isCount(queueMax, Number.MAX_SAFE_INTEGER), "queueMax", "a whole number from 1", queueMax);
  check(isCount(rowsMax, rowsLimit), "rowsMax", `1 to ${rowsLimit}`, rowsMax);
  check(weightModes.includes(weightMode), "weightMode", weightModes.join(" or "), weightMode);
  for (const [field, bytes] of Object.entries({ adaptersBytesMax, prefixBytesMax })) {
    check(Number.isSafeInteger(bytes) && bytes >= 0, field, "a whole number from 0", bytes);
  }
  return checked;
}

async function logProb(
  pool: Pool,
  config: Decoder,
  bank: AdapterBank,
  requests: readonly LogProbRequest[],
): Promise<number[]> {
  const { length } = requests;
  check(
    length >= 1 && length <= logProbRequestsMax,
    "requests",
    `1 to ${logProbRequestsMax} of them`,
    length,
  );
  const batches = planBatches(requests.map((request) => checkLogProb(config, bank, request)));
  const logProbs = new Array<number>(requests.length);
  await runInLanes(pool.threads, batches, async (batch) => {
    const results = await pool.logProb(batch);
    batch.requests.forEach(({ position }, row) => {
      logProbs[position] = results[row] ?? Number.NaN;
    });
  });
  return logProbs;
}

/** Work through items in order, at most `lanes` at a time, so that one call never fills the queue. Stops at the first failure. */
async function runInLanes<Item>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  let hasFailed = false;
  const lane = async () => {
    for (const item of rest) {
      if (hasFailed) return;
      await work(item).catch((error: unknown) => {
        hasFailed = true;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function checkGenerate(config: Decoder, bank: AdapterBank, request: GenerateRequest): GenerateTask {
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
  check(topP === undefined || (topP > 0 && topP <= 1), "topP", "above 0, up to 1", topP);
  check(
    repetitionPenalty === undefined || (repetitionPenalty >= 0.01 && repetitionPenalty <= 100),
    "repetitionPenalty",
    "0.01 to 100",
    repetitionPenalty,
  );
  check(seed >= 0n && seed <= seedMax, "seed", "an unsigned 64-bit integer", seed);
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

function checkLogProb(config: Decoder, bank: AdapterBank, request: LogProbRequest): LogProbTask {
  checkTokens(config, "promptTokenIds", request.promptTokenIds);
  checkTokens(config, "answerTokenIds", request.answerTokenIds);
  checkContext(config, request.promptTokenIds.length + request.answerTokenIds.length);
  const { promptTokenIds, answerTokenIds } = request;
  return { promptTokenIds, answerTokenIds, adapter: adapterOf(bank, request) };
}

/** @throws AdapterUnknownError */
function adapterOf(bank: AdapterBank, { adapter = null }: AdapterChoice): SharedAdapter | null {
  return adapter === null ? null : bank.get(adapter).shared;
}

function checkContext(config: Decoder, tokens: number): void {
  if (tokens > config.contextTokensMax) throw new ContextExceededError(config.contextTokensMax, tokens);
}

function ignoreToken(): undefined {
  return undefined;
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
