import { type Decoder, expectedTensors, linearsOf } from "#runtime/decoder/description";
import { decodeGraph, extendGraph, prefillGraph } from "#runtime/decoder/inference-graphs";
import { excerpt, invariant, ModelRuntimeError } from "#runtime/errors";
import { claimTensors } from "#runtime/families/weight-claims";
import { append, create, join, type KvCache, leave, ofSequence } from "#runtime/inference/kv-cache";
import { floats, integers, openGraph, type Run } from "#runtime/inference/session";
import { isTarget } from "#runtime/lora/adapter";
import { encode } from "#runtime/onnx/model";
import { check, checkTokens } from "#runtime/request";
import { blockTokens } from "#runtime/time-block";
import { locate, type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { type AdapterBank, type Columns, createAdapterBank, maskOf } from "./adapter-bank.ts";
import { columnsBuild } from "./columns-build.ts";
import { createPrefixCache, extended, type PrefixCache } from "./prefix-cache.ts";

/** Fewest rows of a step: with one row another matrix kernel would be chosen, and bits would differ. */
const rowsMin = 2;
/** Most rows of a batch. */
const rowsLimit = 256;

export interface BatchOptions {
  /** Most sequences that run at once. */
  readonly rowsMax: number;
  /** Ends of the names of modules that adapters may change, or full names; none for the base model alone. */
  readonly adaptableModules: readonly string[];
  /** Most bytes of prompts kept for reuse; 0 by default. */
  readonly prefixBytesMax?: number;
}

/** One sequence of a batch: the adapter it follows, null for the base model. */
export interface BatchSequence {
  readonly adapter: string | null;
}

/**
 * Sequences of many adapters decoded together over one base model; they start and end while others run.
 * Calls run one after the other, in the order they were made. Runs block their thread: use it in a worker.
 */
export interface Batch {
  readonly decoder: Decoder;
  readonly bank: Pick<AdapterBank, "add" | "has" | "bytes">;
  /**
   * Start a sequence: logits[V] after the prompt, of which `reusedTokens` came from an earlier one.
   * @throws BatchFullError, AdapterUnknownError, BatchContextError, InvalidRequestError; NotFiniteError if the adapter gives no numbers.
   */
  start(
    adapter: string | null,
    promptTokenIds: readonly number[],
  ): Promise<{ sequence: BatchSequence; logits: Float32Array; reusedTokens: number }>;
  /**
   * One more token for every running sequence → logits[V] after it. They are all NaN for a sequence whose
   * adapter gives no numbers: it has not taken its token, and the others are as without it.
   * @throws BatchContextError, InvalidRequestError
   */
  step(tokens: ReadonlyMap<BatchSequence, number>): Promise<Map<BatchSequence, Float32Array>>;
  /** End a sequence and free its row. */
  finish(sequence: BatchSequence): Promise<void>;
  /** Unload an adapter, and what it made. @throws AdapterInUseError while a sequence follows it. */
  unload(adapter: string): Promise<void>;
}

/** What the functions below share. Row r of the cache belongs to `sequences[r]`. */
interface State {
  readonly decoder: Decoder;
  readonly bank: AdapterBank;
  readonly prefixes: PrefixCache;
  readonly rowsMax: number;
  readonly cache: KvCache;
  readonly sequences: BatchSequence[];
  readonly run: (graph: "prefill" | "extend" | "decode") => Promise<Run>;
  /** Columns of the adapters in use, kept until others are. */
  columns: { readonly keys: string; readonly columns: Columns } | null;
}

/**
 * Open a model for sequences of many adapters; graphs are loaded at their first use.
 * @throws those of `readModelFolder`, WeightMismatchError, InvalidRequestError for the options.
 */
export async function openBatch(folder: string, options: BatchOptions): Promise<Batch> {
  const { rowsMax, prefixBytesMax = 0 } = options;
  const isRowCount = Number.isInteger(rowsMax) && rowsMax >= 1 && rowsMax <= rowsLimit;
  check(isRowCount, "rowsMax", `a whole number from 1 to ${rowsLimit}`, rowsMax);
  check(
    Number.isFinite(prefixBytesMax) && prefixBytesMax >= 0,
    "prefixBytesMax",
    "not negative",
    prefixBytesMax,
  );
  const model = await readModelFolder(folder);
  claimTensors(model, expectedTensors(model.config));
  const state = createState(model, options);
  const inTurn = createTurns();
  return {
    decoder: state.decoder,
    bank: { add: state.bank.add, has: state.bank.has, bytes: state.bank.bytes },
    start: (adapter, promptTokenIds) => inTurn(() => start(state, adapter, promptTokenIds)),
    step: (tokens) => inTurn(() => step(state, tokens)),
    finish: (sequence) => inTurn(async () => finish(state, sequence)),
    unload: (adapter) => inTurn(async () => unload(state, adapter)),
  };
}

/** Runs calls one after the other; one that fails does not hold up the next. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return <Result>(call: () => Promise<Result>): Promise<Result> => {
    const result = last.then(call, call);
    last = result;
    return result;
  };
}

function createState(model: ModelFolder, options: BatchOptions): State {
  const decoder = model.config;
  const linears = linearsOf(decoder).filter(({ name }) => isTarget(options.adaptableModules, name));
  const names = new Set(linears.map(({ name }) => name));
  const makeBuild = columnsBuild(({ name }) => names.has(name));
  const graphs = { prefill: prefillGraph, extend: extendGraph, decode: decodeGraph };
  const sessions = new Map<string, Promise<Run>>();
  const shape = {
    layerCount: decoder.layers.length,
    headCount: decoder.keyValueHeadCount,
    headSize: decoder.headSize,
  };
  return {
    decoder,
    bank: createAdapterBank(linears),
    prefixes: createPrefixCache(options.prefixBytesMax ?? 0),
    rowsMax: options.rowsMax,
    cache: create(shape, Math.max(options.rowsMax, rowsMin)),
    sequences: [],
    columns: null,
    run: (name) => {
      const open = () => {
        const graph = graphs[name](locate(model), makeBuild);
        return openGraph(name, encode(graph), model.path);
      };
      const known = sessions.get(name) ?? open();
      sessions.set(name, known);
      return known;
    },
  };
}

async function start(state: State, adapter: string | null, promptTokenIds: readonly number[]) {
  if (state.sequences.length >= state.rowsMax) throw new BatchFullError(state.rowsMax);
  checkContext(state, promptTokenIds.length);
  checkTokens(state.decoder, "promptTokenIds", promptTokenIds);
  const feeds = adapterFeeds(state, [adapter]);
  const known = state.prefixes.find(adapter, promptTokenIds);
  const { logits, cache } = known
    ? await extend(state, feeds, known, promptTokenIds)
    : await prefill(state, feeds, promptTokenIds);
  join(state.cache, cache);
  state.prefixes.keep(adapter, promptTokenIds, cache);
  const sequence = { adapter };
  state.sequences.push(sequence);
  return { sequence, logits, reusedTokens: known?.lengths[0] ?? 0 };
}

/** The whole prompt: logits[V] after it, and its cache. */
async function prefill(state: State, feeds: Parameters<Run>[0], promptTokenIds: readonly number[]) {
  const length = promptTokenIds.length;
  const capacity = blockTokens(length);
  const run = await state.run("prefill");
  const outputs = await run({
    ...feeds,
    tokenIds: integers(pad(promptTokenIds, capacity), [1, capacity]),
    lastRows: integers([length - 1], [1]),
  });
  const [keys, values] = [layersOf(state, outputs, "key"), layersOf(state, outputs, "value")];
  return {
    logits: take(outputs, "logits"),
    cache: ofSequence(state.cache.shape, length, capacity, keys, values),
  };
}

/** What follows a known beginning of one row. */
async function extend(
  state: State,
  feeds: Parameters<Run>[0],
  known: KvCache,
  promptTokenIds: readonly number[],
) {
  const from = known.lengths[0]!;
  const rest = promptTokenIds.slice(from);
  const width = blockTokens(rest.length);
  const positions = Array.from({ length: width }, (_, index) => from + Math.min(index, rest.length - 1));
  const run = await state.run("extend");
  const outputs = await run({
    ...feeds,
    ...pastFeeds(known, 1),
    tokenIds: integers(pad(rest, width), [1, width]),
    positions: integers(positions, [1, width]),
    lastRows: integers([rest.length - 1], [1]),
  });
  const [keys, values] = [layersOf(state, outputs, "key"), layersOf(state, outputs, "value")];
  return { logits: take(outputs, "logits"), cache: extended(known, { keys, values, length: rest.length }) };
}

async function step(state: State, tokens: ReadonlyMap<BatchSequence, number>) {
  const { cache, sequences } = state;
  const isOneEach = tokens.size === sequences.length && sequences.every((sequence) => tokens.has(sequence));
  check(isOneEach && tokens.size > 0, "tokens", "one for each running sequence", `${tokens.size} tokens`);
  checkTokens(state.decoder, "tokens", [...tokens.values()]);
  for (const length of cache.lengths) checkContext(state, length + 1);
  const rows = Math.max(sequences.length, rowsMin);
  const spare = new Array<null>(rows - sequences.length).fill(null);
  const feeds = adapterFeeds(state, [...sequences.map(({ adapter }) => adapter), ...spare]);
  const tokenIds = sequences.map((sequence) => tokens.get(sequence)!);
  const run = await state.run("decode");
  const outputs = await run({
    ...feeds,
    ...pastFeeds(cache, rows),
    tokenIds: integers(pad(tokenIds, rows), [rows]),
    positions: integers(pad(cache.lengths, rows), [rows]),
  });
  const refused = append(cache, layersOf(state, outputs, "newKey"), layersOf(state, outputs, "newValue"));
  const logits = take(outputs, "logits");
  const size = state.decoder.vocabularySize;
  for (const row of refused) logits.fill(Number.NaN, row * size, (row + 1) * size);
  return new Map(sequences.map((sequence, row) => [sequence, logits.slice(row * size, (row + 1) * size)]));
}

/** The last row takes the place of the one that leaves, here as in the cache. */
function finish(state: State, sequence: BatchSequence): void {
  const row = state.sequences.indexOf(sequence);
  check(row >= 0, "sequence", "one that runs", "one that has ended");
  leave(state.cache, row);
  state.sequences[row] = state.sequences.at(-1)!;
  state.sequences.pop();
}

function unload(state: State, adapter: string): void {
  const isInUse = state.sequences.some((sequence) => sequence.adapter === adapter);
  if (isInUse) throw new AdapterInUseError(adapter);
  state.bank.remove(adapter);
  state.prefixes.forget(adapter);
  state.columns = null;
}

/** Keys, values and bias of the first `rows` rows of a cache. */
function pastFeeds(cache: KvCache, rows: number): Parameters<Run>[0] {
  const { headCount, headSize } = cache.shape;
  const shape = [rows, headCount, cache.capacity, headSize];
  const elements = rows * headCount * cache.capacity * headSize;
  const feeds: Parameters<Run>[0] = {
    pastBias: floats(cache.bias.subarray(0, rows * cache.capacity), [rows, cache.capacity]),
  };
  cache.keys.forEach((layer, index) => {
    feeds[`pastKey.${index}`] = floats(layer.subarray(0, elements), shape);
    feeds[`pastValue.${index}`] = floats(cache.values[index]!.subarray(0, elements), shape);
  });
  return feeds;
}

/** Columns of the adapters that rows follow, and the mask of rows over them. */
function adapterFeeds(state: State, followed: readonly (string | null)[]): Parameters<Run>[0] {
  const keys = [...new Set(followed.filter((key) => key !== null))].toSorted();
  const wanted = JSON.stringify(keys);
  if (state.columns?.keys !== wanted) {
    state.columns = { keys: wanted, columns: state.bank.columnsOf(keys) };
  }
  const { columns } = state.columns;
  const feeds: Parameters<Run>[0] = {
    adapterMask: floats(maskOf(columns, followed), [followed.length, columns.count]),
  };
  for (const [name, values] of columns.factors) {
    feeds[`columns.${name}`] = floats(values, [columns.count, values.length / columns.count]);
  }
  return feeds;
}

function layersOf(state: State, outputs: Record<string, Float32Array>, part: string): Float32Array[] {
  return state.decoder.layers.map((_, layer) => take(outputs, `${part}.${layer}`));
}

function pad(tokenIds: readonly number[], length: number): number[] {
  return [...tokenIds, ...new Array<number>(length - tokenIds.length).fill(0)];
}

function take(outputs: Record<string, Float32Array>, name: string): Float32Array {
  const values = outputs[name];
  invariant(values, `the graph has an output ${name}`);
  return values;
}

function checkContext({ decoder }: State, tokens: number): void {
  if (tokens < 1 || tokens > decoder.contextTokensMax)
    throw new BatchContextError(decoder.contextTokensMax, tokens);
}

/** Every row of the batch is in use. */
export class BatchFullError extends ModelRuntimeError {
  constructor(rowCount: number) {
    super("batch-full", `Batch is full. Max: ${rowCount} sequences.`, { retryable: true });
  }
}

/** Sequences still follow the adapter. */
export class AdapterInUseError extends ModelRuntimeError {
  constructor(key: string) {
    super("adapter-in-use", `Adapter ${excerpt(key)} is followed by running sequences.`, { retryable: true });
  }
}

/** A prompt that is empty, or a sequence longer than the model's context. */
export class BatchContextError extends ModelRuntimeError {
  constructor(tokensMax: number, tokens: number) {
    super("context-exceeded", `A sequence has 1 to ${tokensMax} tokens. Given: ${tokens} tokens.`);
  }
}
