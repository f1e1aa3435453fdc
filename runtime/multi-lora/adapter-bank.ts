import type { Linear } from "#runtime/decoder/description";
import { invariant, ModelRuntimeError } from "#runtime/errors";
import { type Adapter, AdapterError, checkAdapter, scaleOf } from "#runtime/lora/adapter";

/** Largest rank of an adapter in a batch. */
export const bankRankMax = 128;

/** Narrowest bucket: adapters of lower rank are padded to it with zeros. */
const bucketMin = 8;

/**
 * Fewest columns of a batch. Kernels cut long sums into pieces whose length depends on the number of columns
 * when that is 64 or less; above it is always 128. So more than 64 keep a row's bits the same in any company.
 * Source: onnxruntime/core/mlas/lib/sgemm.cpp, MlasSgemmOperation (strides).
 */
const columnsMin = 72;

/** Factors of some adapters side by side, as `columnsBuild` reads them. */
export interface Columns {
  readonly count: number;
  /** First column and width of each adapter, by key. */
  readonly placeOf: ReadonlyMap<string, { readonly first: number; readonly width: number }>;
  /** `<module>.a` [count, in] and `<module>.b` [count, out], row major. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/**
 * Adapters held in memory for one base model, ready to be put side by side. An adapter costs its own size,
 * its rank rounded up to a bucket (8, 16, 32, 64, 128); adding one touches no session.
 */
export interface AdapterBank {
  /** @throws AdapterError if it does not fit the model or float32, AdapterKnownError if the key is taken. */
  add(key: string, adapter: Adapter): void;
  remove(key: string): void;
  has(key: string): boolean;
  /** Bytes of all factors held. */
  bytes(): number;
  /** These adapters side by side: wide ones first, then by key, whatever the order asked. @throws AdapterUnknownError */
  columnsOf(keys: Iterable<string>): Columns;
}

interface Stored {
  readonly width: number;
  /** By `<module>.a` [width, in] and `<module>.b` [width, out], scale included in b. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/** A bank for a model whose `linears` can be adapted. */
export function createAdapterBank(linears: readonly Linear[]): AdapterBank {
  const stored = new Map<string, Stored>();
  return {
    add: (key, adapter) => {
      if (stored.has(key)) throw new AdapterKnownError(key);
      stored.set(key, store(linears, adapter));
    },
    remove: (key) => {
      stored.delete(key);
    },
    has: (key) => stored.has(key),
    bytes: () =>
      [...stored.values()]
        .flatMap(({ factors }) => [...factors.values()])
        .reduce((sum, { byteLength }) => sum + byteLength, 0),
    columnsOf: (keys) => {
      const chosen = [...new Set(keys)].map((key) => {
        const found = stored.get(key);
        if (!found) throw new AdapterUnknownError(key);
        return { key, ...found };
      });
      return sideBySide(linears, chosen);
    },
  };
}

/** Pad an adapter to its bucket, and turn B so that both factors have a row per column. */
function store(linears: readonly Linear[], adapter: Adapter): Stored {
  checkAdapter(adapter);
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  const ranks = [...adapter.modules.values()].map(({ rank }) => rank);
  const width = bucketOf(Math.max(...ranks));
  const factors = new Map<string, Float32Array>();
  for (const [name, module] of adapter.modules) {
    const linear = byName.get(name);
    if (!linear) throw new AdapterError("adapter-mismatch", name, "this module cannot be adapted here");
    if (linear.inSize !== module.inSize || linear.outSize !== module.outSize) {
      const reason = `it is [${module.outSize},${module.inSize}], the model's is [${linear.outSize},${linear.inSize}]`;
      throw new AdapterError("adapter-mismatch", name, reason);
    }
    const a = new Float32Array(width * module.inSize);
    a.set(module.a);
    factors.set(`${name}.a`, a);
    const b = turned(module.b, module, width, scaleOf(adapter, module));
    if (!b.every(Number.isFinite))
      throw new AdapterError("adapter-invalid", name, "scale · B overflows float32");
    factors.set(`${name}.b`, b);
  }
  return { width, factors };
}

/** B[out, rank] → scale · Bᵀ[width, out]. */
function turned(
  b: Float32Array,
  { rank, outSize }: { rank: number; outSize: number },
  width: number,
  scale: number,
): Float32Array {
  const result = new Float32Array(width * outSize);
  for (let column = 0; column < rank; column++) {
    for (let row = 0; row < outSize; row++) result[column * outSize + row] = scale * b[row * rank + column]!;
  }
  return result;
}

function bucketOf(rank: number): number {
  if (rank > bankRankMax) {
    throw new AdapterError("adapter-mismatch", "rank", `at most ${bankRankMax} in a batch. Given: ${rank}`);
  }
  return Math.max(bucketMin, 2 ** Math.ceil(Math.log2(rank)));
}

/**
 * Wide adapters first, so that each starts at a multiple of its own width and never straddles the pieces of
 * 128 in which kernels sum over columns.
 */
function sideBySide(
  linears: readonly Linear[],
  chosen: readonly (Stored & { readonly key: string })[],
): Columns {
  const ordered = chosen.toSorted((x, y) => y.width - x.width || (x.key < y.key ? -1 : 1));
  const placeOf = new Map<string, { first: number; width: number }>();
  let count = 0;
  for (const { key, width } of ordered) {
    placeOf.set(key, { first: count, width });
    count += width;
  }
  count = Math.max(count, columnsMin);
  const factors = new Map<string, Float32Array>();
  for (const { name, inSize, outSize } of linears) {
    for (const [part, size] of [
      ["a", inSize],
      ["b", outSize],
    ] as const) {
      const all = new Float32Array(count * size);
      for (const { key, factors: own } of ordered) {
        const values = own.get(`${name}.${part}`);
        if (values) all.set(values, placeOf.get(key)!.first * size);
      }
      factors.set(`${name}.${part}`, all);
    }
  }
  return { count, placeOf, factors };
}

/** `adapterMask` [rows, count] for rows that follow these adapters; null is the base model. */
export function maskOf(columns: Columns, keys: readonly (string | null)[]): Float32Array {
  const mask = new Float32Array(keys.length * columns.count);
  keys.forEach((key, row) => {
    if (key === null) return;
    const place = columns.placeOf.get(key);
    invariant(place, `columns hold the adapter ${key}`);
    const start = row * columns.count + place.first;
    mask.fill(1, start, start + place.width);
  });
  return mask;
}

/** An adapter key that is taken. */
export class AdapterKnownError extends ModelRuntimeError {
  constructor(key: string) {
    super("adapter-known", `Adapter ${key} is loaded already.`);
  }
}

/** An adapter key that nothing is loaded under. */
export class AdapterUnknownError extends ModelRuntimeError {
  constructor(key: string) {
    super("adapter-unknown", `Adapter ${key} is not loaded.`);
  }
}
