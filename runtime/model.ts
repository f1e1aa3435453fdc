import { type Decoder, type Linear, linearsOf } from "#runtime/decoder/description";
import { buildGraphs, type GraphChoice, type ModelGraphs } from "#runtime/decoder/inference-graphs";
import { needsChunks } from "#runtime/inference/chunks";
import { DeviceInexactError, takeDevice } from "#runtime/inference/device";
import type { Generation } from "#runtime/inference/generate";
import { planBatches } from "#runtime/inference/log-prob";
import { createPool, type Pool } from "#runtime/inference/pool";
import { detectCpuIsa, type ExecutionProfile, makeProfile } from "#runtime/inference/profile";
import { isTarget } from "#runtime/lora/adapter";
import { readAdapter } from "#runtime/lora/adapter-folder";
import { createAdapterBank, type LoadedAdapter } from "#runtime/multi-lora/adapter-bank";
import { slotsBuild } from "#runtime/multi-lora/slots-build";
import { check } from "#runtime/request";
import {
  checkGenerate,
  checkLogProb,
  type GenerateRequest,
  type LogProbRequest,
  type TaskLimits,
} from "#runtime/tasks";
import { hashAdapter, hashFiles } from "#runtime/weights/model-files";
import { locate, type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { checkOptions, type OpenOptions } from "./open-options.ts";

/** Longest name of an adapter. */
const adapterNameLengthMax = 256;

/** Most requests in one `logProb` call. */
export const logProbRequestsMax = 4096;

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
  const choice = graphChoice(config, linears, checked);
  const graphs = buildGraphs(read, choice);
  const { pool, hashes, close } = await start(read, { graphs, choice, linears }, checked);
  const { artifactHash, weightHashes } = hashes;
  const { ortVersion } = pool;
  const cpuIsa = await detectCpuIsa();
  const parts = { ortVersion, cpuIsa, graphs, weightHashes, quantisation, weightMode, device };
  const bank = createAdapterBank(linears, checked.adaptersBytesMax);
  const limits = { config, bank, cacheBytesMax: checked.cacheBytesMax };
  return {
    artifactHash,
    vocabularySize: config.vocabularySize,
    contextTokensMax: config.contextTokensMax,
    generate: async (request) => {
      const task = checkGenerate(limits, request);
      return pool.generate(task, request.signal, request.onToken ?? ignoreToken);
    },
    logProb: async (requests) => {
      if (device !== "cpu") throw new DeviceInexactError(device);
      return logProb(pool, limits, requests);
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
    cacheBytesMax: options.cacheBytesMax,
    keepsCache: choice.keepsCache ?? false,
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
  const allowed = "names of the model's matrices or their ends";
  check(Array.isArray(modules), "adaptableModules", allowed, modules);
  const stray = modules.findIndex((module) => !linears.some(({ name }) => isTarget([module], name)));
  check(stray < 0, "adaptableModules", allowed, modules[stray]);
  return linears.filter(({ name }) => isTarget(modules, name));
}

function graphChoice(
  config: Decoder,
  linears: readonly Linear[],
  { prefixBytesMax, device }: Required<OpenOptions>,
): GraphChoice {
  const names = new Set(linears.map(({ name }) => name));
  return {
    ...(names.size > 0 ? { makeBuild: slotsBuild(({ name }) => names.has(name)) } : {}),
    canExtend: prefixBytesMax > 0 || needsChunks(config),
    canExtendLogProb: device === "cpu",
    keepsCache: device === "webgpu",
  };
}

async function logProb(
  pool: Pool,
  limits: TaskLimits,
  requests: readonly LogProbRequest[],
): Promise<number[]> {
  check(Array.isArray(requests), "requests", "a list of requests", requests);
  const { length } = requests;
  check(
    length >= 1 && length <= logProbRequestsMax,
    "requests",
    `1 to ${logProbRequestsMax} of them`,
    length,
  );
  const tasks = Array.from(requests, (request) => checkLogProb(limits, request));
  const batches = planBatches(limits.config, tasks);
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

function ignoreToken(): undefined {
  return undefined;
}
