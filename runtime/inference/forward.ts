import { invariant } from "#runtime/errors";
import { blockTokens } from "#runtime/time-block";
import { append, type CacheShape, type KvCache, ofSequence } from "./kv-cache.ts";
import { floats, integers, type LoadedModel } from "./session.ts";

/** What the caches of a model look like. */
export function cacheShapeOf({ config }: LoadedModel): CacheShape {
  return {
    layerCount: config.layers.length,
    headCount: config.keyValueHeadCount,
    headSize: config.headSize,
  };
}

/** Run a whole prompt: logits[V] after its last token and the cache of one row to continue from. */
export async function prefill(
  model: LoadedModel,
  promptTokenIds: readonly number[],
): Promise<{ logits: Float32Array; cache: KvCache }> {
  const capacity = blockTokens(promptTokenIds.length);
  const padded = [...promptTokenIds, ...new Array<number>(capacity - promptTokenIds.length).fill(0)];
  const run = await model.session("prefill");
  const outputs = await run({
    tokenIds: integers(padded, [1, capacity]),
    lastRows: integers([promptTokenIds.length - 1], [1]),
  });
  const shape = cacheShapeOf(model);
  const keys = layersOf(outputs, "key", shape.layerCount);
  const values = layersOf(outputs, "value", shape.layerCount);
  return {
    logits: take(outputs, "logits"),
    cache: ofSequence(shape, promptTokenIds.length, capacity, keys, values),
  };
}

/**
 * Run one more token of every row of a cache, add it there, and return logits[V] after it, row by row.
 * Logits are NaN where keys or values are no numbers: that row does not take its token.
 * A row's bits do not depend on its company: neither on the other rows nor on the capacity they need.
 */
export async function decode(
  model: LoadedModel,
  cache: KvCache,
  tokenIds: readonly number[],
): Promise<Float32Array[]> {
  const { layerCount, headCount, headSize } = cache.shape;
  const rows = Math.max(cache.lengths.length, model.rowsMin);
  invariant(tokenIds.length === cache.lengths.length && rows <= cache.rowsMax, "one token for each row");
  const pad = new Array<number>(rows - tokenIds.length).fill(0);
  const shape = [rows, headCount, cache.capacity, headSize];
  const elements = rows * headCount * cache.capacity * headSize;
  const inputs: Parameters<Awaited<ReturnType<LoadedModel["session"]>>>[0] = {
    tokenIds: integers([...tokenIds, ...pad], [rows]),
    positions: integers([...cache.lengths, ...pad], [rows]),
    pastBias: floats(cache.bias.subarray(0, rows * cache.capacity), [rows, cache.capacity]),
  };
  for (let layer = 0; layer < layerCount; layer++) {
    inputs[`pastKey.${layer}`] = floats(cache.keys[layer]!.subarray(0, elements), shape);
    inputs[`pastValue.${layer}`] = floats(cache.values[layer]!.subarray(0, elements), shape);
  }
  const run = await model.session("decode");
  const outputs = await run(inputs);
  const refused = append(
    cache,
    layersOf(outputs, "newKey", layerCount),
    layersOf(outputs, "newValue", layerCount),
  );
  const logits = take(outputs, "logits");
  const width = logits.length / rows;
  for (const row of refused) logits.fill(Number.NaN, row * width, (row + 1) * width);
  return tokenIds.map((_, row) => logits.subarray(row * width, (row + 1) * width));
}

function layersOf(outputs: Record<string, Float32Array>, name: string, layerCount: number): Float32Array[] {
  return Array.from({ length: layerCount }, (_, layer) => take(outputs, `${name}.${layer}`));
}

function take(outputs: Record<string, Float32Array>, name: string): Float32Array {
  const values = outputs[name];
  invariant(values, `the graph has an output ${name}`);
  return values;
}
