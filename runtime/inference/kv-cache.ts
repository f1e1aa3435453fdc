import { invariant, NotFiniteError } from "#runtime/errors";
import { blockTokens, cacheSlots, timeBlockTokens } from "#runtime/time-block";

/** Keys or values of one layer: [rows, heads, capacity, headSize], row major. */
type Layer = Float32Array;

/** Sizes that a model fixes. */
export interface CacheShape {
  readonly layerCount: number;
  readonly headCount: number;
  readonly headSize: number;
}

/**
 * Keys and values of sequences that decode together, owned by the host. Row r holds `lengths[r]` tokens in
 * slots 0, 1, …; slot = position. Rows are dense: when one leaves, the last takes its place.
 */
export interface KvCache {
  readonly shape: CacheShape;
  /** Counts the times that rows or slots moved: what was copied before is another cache's. */
  version: number;
  /** Most rows. */
  readonly rowsMax: number;
  /** Rows there is room for now. */
  rowCount: number;
  /** Tokens of each row in use. */
  readonly lengths: number[];
  /** Slots of every row, whole blocks. */
  capacity: number;
  keys: Layer[];
  values: Layer[];
  /** [rowCount, capacity]: 0 for slots in use, −∞ for the rest. */
  bias: Float32Array;
}

/** An empty cache. */
export function create(shape: CacheShape, rowsMax: number): KvCache {
  invariant(rowsMax >= 1, "a cache has room for a row");
  return {
    shape,
    version: 0,
    rowsMax,
    rowCount: 0,
    lengths: [],
    capacity: 0,
    keys: [],
    values: [],
    bias: new Float32Array(0),
  };
}

/** A cache of one row from a prefill's outputs: `capacity` slots, of which the first `length` are real. */
export function ofSequence(
  shape: CacheShape,
  length: number,
  capacity: number,
  keys: Layer[],
  values: Layer[],
): KvCache {
  const elements = shape.headCount * capacity * shape.headSize;
  for (const layer of [...keys, ...values])
    invariant(layer.length === elements, "layers fill their capacity");
  const cache = { shape, version: 0, rowsMax: 1, rowCount: 1, lengths: [length], capacity, keys, values };
  return { ...cache, bias: biasOf(cache) };
}

/** A cache of one row without tokens: one block, none of it in use. */
export function empty(shape: CacheShape): KvCache {
  const elements = shape.headCount * timeBlockTokens * shape.headSize;
  const layers = () => Array.from({ length: shape.layerCount }, () => new Float32Array(elements));
  return ofSequence(shape, 0, timeBlockTokens, layers(), layers());
}

/** The first `length` tokens of a cache of one row, in whole blocks. */
export function copyOf(cache: KvCache, length: number): KvCache {
  const capacity = blockTokens(length);
  const take = (layer: Float32Array) =>
    pasted(cache, capacity, [{ layer, capacity: cache.capacity, length }]);
  return ofSequence(cache.shape, length, capacity, cache.keys.map(take), cache.values.map(take));
}

/** A cache of one row with `length` more tokens: keys and values [1, heads, width ≥ length, headSize] per layer. */
export function extended(
  cache: KvCache,
  added: {
    readonly keys: Float32Array[];
    readonly values: Float32Array[];
    readonly length: number;
    readonly width: number;
  },
): KvCache {
  const before = cache.lengths[0]!;
  const total = before + added.length;
  const capacity = blockTokens(total);
  const join = (layer: Float32Array, fresh: Float32Array) =>
    pasted(cache, capacity, [
      { layer, capacity: cache.capacity, length: before },
      { layer: fresh, capacity: added.width, length: added.length },
    ]);
  return ofSequence(
    cache.shape,
    total,
    capacity,
    cache.keys.map((layer, index) => join(layer, added.keys[index]!)),
    cache.values.map((layer, index) => join(layer, added.values[index]!)),
  );
}

/** The first `length` slots of each part, one after the other: [heads, capacity, headSize]. */
function pasted(
  { shape: { headCount, headSize } }: KvCache,
  capacity: number,
  parts: readonly { readonly layer: Float32Array; readonly capacity: number; readonly length: number }[],
): Float32Array {
  const whole = new Float32Array(headCount * capacity * headSize);
  let slot = 0;
  for (const part of parts) {
    for (let head = 0; head < headCount; head++) {
      const from = head * part.capacity * headSize;
      whole.set(
        part.layer.subarray(from, from + part.length * headSize),
        (head * capacity + slot) * headSize,
      );
    }
    slot += part.length;
  }
  return whole;
}

/** Copy the only row of `sequence` into a new last row. @throws NotFiniteError, and changes nothing, if it holds no numbers. */
export function join(cache: KvCache, sequence: KvCache): void {
  const [length] = sequence.lengths;
  invariant(length !== undefined && cache.lengths.length < cache.rowsMax, "there is room for the row");
  if (!isFiniteRow(sequence, length)) throw new NotFiniteError("keys and values");
  const row = cache.lengths.length;
  const rows = Math.max(cache.rowCount, roomFor(cache, row + 1));
  resize(cache, rows, Math.max(row === 0 ? 0 : cache.capacity, slotsOf(cache, length)));
  cache.lengths.push(length);
  cache.version += 1;
  const copy = (into: Layer[], from: Layer[]) => {
    into.forEach((layer, index) => {
      copyRow(cache.shape, from[index]!, [0, sequence.capacity], layer, [row, cache.capacity], length);
    });
  };
  copy(cache.keys, sequence.keys);
  copy(cache.values, sequence.values);
  cache.bias = biasOf(cache);
}

/** Give up a row; the last row moves to its index. */
export function leave(cache: KvCache, row: number): void {
  const last = cache.lengths.length - 1;
  invariant(row >= 0 && row <= last, "the row is in use");
  const elements = cache.shape.headCount * cache.capacity * cache.shape.headSize;
  for (const layer of [...cache.keys, ...cache.values]) {
    layer.copyWithin(row * elements, last * elements, (last + 1) * elements);
  }
  cache.lengths[row] = cache.lengths[last] ?? 0;
  cache.lengths.pop();
  cache.version += 1;
  const needed = Math.max(0, ...cache.lengths.map((length) => slotsOf(cache, length)));
  if (needed <= cache.capacity / 2) resize(cache, roomFor(cache, cache.lengths.length), needed);
  cache.bias = biasOf(cache);
}

/**
 * Write the next token of every row: keys and values [≥ rows, heads, 1, headSize] per layer. Grows when a row
 * is full. Rows whose keys or values are no finite numbers stay as they were: their indices are returned.
 */
export function append(cache: KvCache, keys: readonly Layer[], values: readonly Layer[]): readonly number[] {
  if (cache.lengths.includes(cache.capacity)) resize(cache, cache.rowCount, cache.capacity + timeBlockTokens);
  const size = cache.shape.headCount * cache.shape.headSize;
  const isRefused = cache.lengths.map((_, row) =>
    [...keys, ...values].some((layer) => !isFiniteIn(layer, row * size, (row + 1) * size)),
  );
  write(cache, cache.keys, keys, isRefused);
  write(cache, cache.values, values, isRefused);
  cache.lengths.forEach((length, row) => {
    if (isRefused[row]) return;
    cache.bias[row * cache.capacity + length] = 0;
    cache.lengths[row] = length + 1;
  });
  return cache.lengths.flatMap((_, row) => (isRefused[row] ? [row] : []));
}

function write(
  cache: KvCache,
  layers: readonly Layer[],
  fresh: readonly Layer[],
  isRefused: readonly boolean[],
): void {
  const { headCount, headSize } = cache.shape;
  layers.forEach((layer, index) => {
    const source = fresh[index];
    invariant(
      source && source.length >= cache.lengths.length * headCount * headSize,
      "a new slot has every head",
    );
    cache.lengths.forEach((length, row) => {
      if (isRefused[row]) return;
      for (let head = 0; head < headCount; head++) {
        const from = (row * headCount + head) * headSize;
        const slot = ((row * headCount + head) * cache.capacity + length) * headSize;
        layer.set(source.subarray(from, from + headSize), slot);
      }
    });
  });
}

/** Rows a cache makes room for when `rows` are in use: twice as many each time it grows. */
export function roomFor({ rowsMax }: Pick<KvCache, "rowsMax">, rows: number): number {
  return Math.min(rowsMax, Math.max(2, 2 ** Math.ceil(Math.log2(rows))));
}

function slotsOf({ shape }: KvCache, length: number): number {
  return cacheSlots(length, shape.headSize);
}

/** Move the rows in use to arrays for another number of rows and slots. */
function resize(cache: KvCache, rowCount: number, capacity: number): void {
  if (capacity === cache.capacity && rowCount === cache.rowCount && cache.keys.length > 0) return;
  const { layerCount, headCount, headSize } = cache.shape;
  const move = (layers: Layer[]) =>
    Array.from({ length: layerCount }, (_, index) => {
      const moved = new Float32Array(rowCount * headCount * capacity * headSize);
      cache.lengths.forEach((length, row) => {
        copyRow(cache.shape, layers[index]!, [row, cache.capacity], moved, [row, capacity], length);
      });
      return moved;
    });
  cache.keys = move(cache.keys);
  cache.values = move(cache.values);
  cache.capacity = capacity;
  cache.rowCount = rowCount;
  cache.version += 1;
  cache.bias = biasOf(cache);
}

/** Copy the first `length` slots of every head from one row to another; places are [row, capacity]. */
function copyRow(
  { headCount, headSize }: CacheShape,
  from: Layer,
  [fromRow, fromCapacity]: readonly [number, number],
  to: Layer,
  [toRow, toCapacity]: readonly [number, number],
  length: number,
): void {
  for (let head = 0; head < headCount; head++) {
    const start = (fromRow * headCount + head) * fromCapacity * headSize;
    const target = (toRow * headCount + head) * toCapacity * headSize;
    to.set(from.subarray(start, start + length * headSize), target);
  }
}

/** Whether the `length` tokens of a cache of one row are numbers. */
function isFiniteRow({ shape, capacity, keys, values }: KvCache, length: number): boolean {
  const { headCount, headSize } = shape;
  return [...keys, ...values].every((layer) => {
    for (let head = 0; head < headCount; head++) {
      const start = head * capacity * headSize;
      if (!isFiniteIn(layer, start, start + length * headSize)) return false;
    }
    return true;
  });
}

function isFiniteIn(values: Float32Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (!Number.isFinite(values[at])) return false;
  return true;
}

function biasOf({
  rowCount,
  capacity,
  lengths,
}: Pick<KvCache, "rowCount" | "capacity" | "lengths">): Float32Array {
  const bias = new Float32Array(rowCount * capacity).fill(Number.NEGATIVE_INFINITY);
  lengths.forEach((length, row) => {
    bias.fill(0, row * capacity, row * capacity + length);
  });
  return bias;
}
