import { setImmediate } from "node:timers/promises";
import type { Tensor } from "onnxruntime-node";
import { invariant } from "#runtime/errors";
import type { SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import type { PrefixCache } from "#runtime/multi-lora/prefix-cache";
import { blockTokens } from "#runtime/time-block";
import { chunkTokens } from "./chunks.ts";
import { append, type CacheShape, empty, extended, type KvCache, ofSequence } from "./kv-cache.ts";
import { floats, integers, type LoadedModel, type Run } from "./session.ts";

/** What the caches of a model look like. */
export function cacheShapeOf({ config }: LoadedModel): CacheShape {
  return {
    layerCount: config.layers.length,
    headCount: config.keyValueHeadCount,
    headSize: config.headSize,
  };
}

/** A prompt that was run: logits[V] after its last token, and the cache of one row to continue from. */
export interface Prefilled {
  readonly logits: Float32Array;
  readonly cache: KvCache;
  /** Tokens whose keys and values came from an earlier prompt. */
  readonly reusedTokens: number;
}

/**
 * Run a whole prompt under an adapter; what begins like one that `prefixes` knows starts where they part.
 * Without reuse its bits depend on nothing but itself; with it they agree to about 1e-5. Long prompts run in
 * chunks, so that memory grows with their length and not with its square.
 */
export async function prefill(
  model: LoadedModel,
  promptTokenIds: readonly number[],
  adapter: SharedAdapter | null = null,
  prefixes?: PrefixCache,
): Promise<Prefilled> {
  const known = prefixes?.find(adapter?.id ?? null, promptTokenIds);
  const chunk = chunkTokens(model.config, promptTokenIds.length);
  if (!known && chunk >= promptTokenIds.length) return prefillWhole(model, adapter, promptTokenIds);
  let logits: Float32Array | undefined;
  const sequence = { known, tokenIds: promptTokenIds, chunk };
  const cache = await extend(model, "extend", adapter, sequence, ({ length }) => ({
    inputs: { lastRows: integers([length - 1], [1]) },
    read: (outputs) => {
      logits = take(outputs, "logits");
    },
  }));
  invariant(logits, "a prompt has a last token");
  return { logits, cache, reusedTokens: known?.lengths[0] ?? 0 };
}

async function prefillWhole(
  model: LoadedModel,
  adapter: SharedAdapter | null,
  promptTokenIds: readonly number[],
): Promise<Prefilled> {
  const { length } = promptTokenIds;
  const capacity = blockTokens(length);
  const run = await model.session("prefill");
  const outputs = await run({
    ...model.adapterFeeds("sequences", [adapter]),
    tokenIds: integers(padded(promptTokenIds, capacity), [1, capacity]),
    lastRows: integers([length - 1], [1]),
  });
  const shape = cacheShapeOf(model);
  const [keys, values] = [layersOf(shape, outputs, "key"), layersOf(shape, outputs, "value")];
  const cache = ofSequence(shape, length, capacity, keys, values);
  return { logits: take(outputs, "logits"), cache, reusedTokens: 0 };
}

/** What is wanted of `length` tokens from the one at `from` on: more inputs, and who reads the outputs. */
export type ForChunk = (part: { readonly from: number; readonly length: number }) => {
  readonly inputs: Parameters<Run>[0];
  readonly read?: (outputs: Record<string, Float32Array>) => void;
};

/** A sequence to run: what is known of it, all its tokens, and how many run at a time. */
export interface Sequence {
  readonly known?: KvCache | null | undefined;
  readonly tokenIds: readonly number[];
  readonly chunk: number;
  /** Whether runs are padded to whole blocks; true unless given. Needed where several runs must have the same bits. */
  readonly isPadded?: boolean;
  /** Whether the cache of all of it is wanted; true unless given, else it ends before the last chunk. */
  readonly isCacheWanted?: boolean;
}

/**
 * Run a sequence, or what follows its known beginning, `chunk` tokens at a time; between chunks the event
 * loop turns. Gives the cache of all of it.
 */
export async function extend(
  model: LoadedModel,
  graph: "extend" | "extendLogProb" | "extendCache",
  adapter: SharedAdapter | null,
  { known, tokenIds, chunk, isPadded = true, isCacheWanted = true }: Sequence,
  forChunk: ForChunk,
): Promise<KvCache> {
  const run = await model.session(graph);
  let cache = known ?? empty(cacheShapeOf(model));
  for (let from = cache.lengths[0]!; from < tokenIds.length; from += chunk) {
    const part = tokenIds.slice(from, from + chunk);
    const { length } = part;
    const width = isPadded ? blockTokens(length) : length;
    const positions = Array.from({ length: width }, (_, index) => from + Math.min(index, length - 1));
    const { inputs, read } = forChunk({ from, length });
    const outputs = await run({
      ...model.adapterFeeds("sequences", [adapter]),
      ...biasFeed(cache, 1),
      ...layerFeeds(cache, 1),
      tokenIds: integers(padded(part, width), [1, width]),
      positions: integers(positions, [1, width]),
      ...inputs,
    });
    read?.(outputs);
    if (!isCacheWanted && from + length === tokenIds.length) break;
    const [keys, values] = [layersOf(cache.shape, outputs, "key"), layersOf(cache.shape, outputs, "value")];
    cache = extended(cache, { keys, values, length, width });
    await setImmediate();
  }
  return cache;
}

/**
 * Run one more token of every row of a cache, add it there, and return logits[V] after it, row by row;
 * `adapters` are what the rows follow.
 * Logits are NaN where keys or values are no numbers: that row does not take its token.
 * A row's bits do not depend on its company: neither on the other rows, nor on their adapters, nor on the
 * capacity they need.
 */
export async function decode(
  model: LoadedModel,
  cache: KvCache,
  tokenIds: readonly number[],
  adapters: readonly (SharedAdapter | null)[] = tokenIds.map(() => null),
): Promise<Float32Array[]> {
  const { lengths, shape } = cache;
  const rows = Math.max(lengths.length, model.rowsMin);
  const isOneEach = tokenIds.length === lengths.length && adapters.length === lengths.length;
  invariant(isOneEach && rows <= cache.rowsMax, "one token and one adapter for each row");
  const spare = new Array<null>(rows - lengths.length).fill(null);
  const run = await model.session("decode");
  const { resident } = model;
  const kept = new Map<string, Tensor>();
  const outputs = await run(
    {
      ...model.adapterFeeds("step", [...adapters, ...spare]),
      ...biasFeed(cache, rows),
      ...(resident?.feeds(cache, rows) ?? layerFeeds(cache, rows)),
      tokenIds: integers(padded(tokenIds, rows), [rows]),
      positions: integers(padded(lengths, rows), [rows]),
    },
    kept,
  );
  const { version } = cache;
  const refused = append(cache, layersOf(shape, outputs, "newKey"), layersOf(shape, outputs, "newValue"));
  resident?.replace(cache, rows, kept);
  // A full row's token had no slot there, and one refused by the host is not in it.
  if (cache.version !== version || refused.length > 0) resident?.clear();
  const logits = take(outputs, "logits");
  const width = logits.length / rows;
  for (const row of refused) logits.fill(Number.NaN, row * width, (row + 1) * width);
  return tokenIds.map((_, row) => logits.subarray(row * width, (row + 1) * width));
}

/** Which slots of the first `rows` rows of a cache are in use. */
function biasFeed(cache: KvCache, rows: number): Parameters<Run>[0] {
  return { pastBias: floats(cache.bias.subarray(0, rows * cache.capacity), [rows, cache.capacity]) };
}

/** Keys and values of the first `rows` rows of a cache. */
function layerFeeds(cache: KvCache, rows: number): Parameters<Run>[0] {
  const { headCount, headSize } = cache.shape;
  const shape = [rows, headCount, cache.capacity, headSize];
  const elements = rows * headCount * cache.capacity * headSize;
  const feeds: Parameters<Run>[0] = {};
  cache.keys.forEach((layer, index) => {
    feeds[`pastKey.${index}`] = floats(layer.subarray(0, elements), shape);
    feeds[`pastValue.${index}`] = floats(cache.values[index]!.subarray(0, elements), shape);
  });
  return feeds;
}

function padded(numbers: readonly number[], length: number): number[] {
  return [...numbers, ...new Array<number>(length - numbers.length).fill(0)];
}

function layersOf(
  { layerCount }: CacheShape,
  outputs: Record<string, Float32Array>,
  name: string,
): Float32Array[] {
  return Array.from({ length: layerCount }, (_, layer) => take(outputs, `${name}.${layer}`));
}

function take(outputs: Record<string, Float32Array>, name: string): Float32Array {
  const values = outputs[name];
  invariant(values, `the graph has an output ${name}`);
  return values;
}
