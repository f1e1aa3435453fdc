import { invariant } from "#runtime/errors";
import { timeBlockTokens } from "#runtime/time-block";

/** Keys or values of one layer for one sequence: [heads, capacity, headSize], row major. */
type Layer = Float32Array;

/** Keys and values of the tokens seen so far, owned by the host. Slots from `length` on are unused. */
export interface KvCache {
  readonly headCount: number;
  readonly headSize: number;
  length: number;
  capacity: number;
  keys: Layer[];
  values: Layer[];
  /** [capacity]: 0 for slots in use, −∞ for the rest. */
  bias: Float32Array;
}

/** A cache from a prefill's outputs: `capacity` slots per layer, of which the first `length` are real. */
export function create(
  shape: { headCount: number; headSize: number; length: number; capacity: number },
  keys: Layer[],
  values: Layer[],
): KvCache {
  for (const layer of [...keys, ...values]) {
    invariant(
      layer.length === shape.headCount * shape.capacity * shape.headSize,
      "cache layers fill their capacity",
    );
  }
  return { ...shape, keys, values, bias: biasOf(shape.length, shape.capacity) };
}

/** Write one token's keys and values, [heads, 1, headSize] per layer, into the next slot; grows when full. */
export function append(cache: KvCache, keys: readonly Layer[], values: readonly Layer[]): void {
  if (cache.length === cache.capacity) grow(cache);
  write(cache, cache.keys, keys);
  write(cache, cache.values, values);
  cache.bias[cache.length] = 0;
  cache.length += 1;
}

function write(cache: KvCache, layers: readonly Layer[], rows: readonly Layer[]): void {
  layers.forEach((layer, index) => {
    const row = rows[index];
    invariant(row?.length === cache.headCount * cache.headSize, "a new row has every head");
    for (let head = 0; head < cache.headCount; head++) {
      const slot = (head * cache.capacity + cache.length) * cache.headSize;
      layer.set(row.subarray(head * cache.headSize, (head + 1) * cache.headSize), slot);
    }
  });
}

function grow(cache: KvCache): void {
  const capacity = cache.capacity + timeBlockTokens;
  const widen = (layer: Layer): Layer => {
    const wider = new Float32Array(cache.headCount * capacity * cache.headSize);
    const headElements = cache.capacity * cache.headSize;
    for (let head = 0; head < cache.headCount; head++) {
      wider.set(
        layer.subarray(head * headElements, (head + 1) * headElements),
        head * capacity * cache.headSize,
      );
    }
    return wider;
  };
  cache.keys = cache.keys.map(widen);
  cache.values = cache.values.map(widen);
  cache.bias = biasOf(cache.length, capacity);
  cache.capacity = capacity;
}

function biasOf(length: number, capacity: number): Float32Array {
  return new Float32Array(capacity).fill(Number.NEGATIVE_INFINITY).fill(0, 0, length);
}
