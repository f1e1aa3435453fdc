import type { Linear } from "#runtime/decoder/description";
import { excerpt, invariant, ModelRuntimeError } from "#runtime/errors";
import { type Adapter, AdapterError, checkAdapter, scaleOf } from "#runtime/lora/adapter";

/** Largest rank of a loaded adapter. */
export const bankRankMax = 128;

/** Most adapters of one model at a time. */
export const adapterCountMax = 4096;

/** Narrowest bucket: adapters of lower rank are padded to it with zeros. */
const bucketMin = 8;

/**
 * Fewest columns of a batch. Kernels cut long sums into pieces whose length depends on the number of columns
 * when that is 64 or less; above it is always 128. So more than 64 keep a row's bits the same in any company.
 * Source: onnxruntime/core/mlas/lib/sgemm.cpp, MlasSgemmOperation (strides).
 */
const columnsMin = 72;

let nextId = 0;

/** Factors of some adapters side by side, as `columnsBuild` reads them. */
export interface Columns {
  readonly count: number;
  /** First column and width of each adapter, by id. */
  readonly placeOf: ReadonlyMap<number, { readonly first: number; readonly width: number }>;
  /** `<module>.a` [count, in] and `<module>.b` [count, out], row major. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/** An adapter ready to be put beside others: plain data over memory that all threads see, so that sending it copies no factor. */
export interface SharedAdapter {
  /** Given once in a process and never again: what an adapter made is known by it, whatever takes its name later. */
  readonly id: number;
  /** Its largest rank, rounded up to a bucket. */
  readonly width: number;
  /** By `<module>.a` [width, in] and `<module>.b` [width, out], scale included in b. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/** What a caller may know of a loaded adapter. */
export interface LoadedAdapter {
  readonly name: string;
  /** `hashAdapter` of its folder. */
  readonly hash: `0x${string}`;
  /** Bytes of its factors in memory. */
  readonly bytes: number;
}

/**
 * Adapters held in memory for one base model. An adapter costs its own size, its rank rounded up to a bucket
 * (8, 16, 32, 64, 128); adding one touches no session. One that is removed serves on in the answers that
 * began with it, and its memory goes when they end.
 */
export interface AdapterBank {
  /** @throws AdapterError if it does not fit the model, float32 or the bank, AdapterKnownError if the name is taken. */
  add(name: string, hash: `0x${string}`, adapter: Adapter): LoadedAdapter;
  /** @throws AdapterUnknownError */
  remove(name: string): void;
  /** @throws AdapterUnknownError */
  get(name: string): LoadedAdapter & { readonly shared: SharedAdapter };
  /** In the order they were added. */
  list(): LoadedAdapter[];
}

/** A bank of at most `bytesMax` bytes for a model whose `linears` can be adapted. */
export function createAdapterBank(linears: readonly Linear[], bytesMax: number): AdapterBank {
  const stored = new Map<string, LoadedAdapter & { readonly shared: SharedAdapter }>();
  const get = (name: string) => {
    const found = stored.get(name);
    if (!found) throw new AdapterUnknownError(name);
    return found;
  };
  const describe = ({ name, hash, bytes }: LoadedAdapter): LoadedAdapter => ({ name, hash, bytes });
  return {
    add: (name, hash, adapter) => {
      if (stored.has(name)) throw new AdapterKnownError(name);
      const layout = layOut(linears, adapter);
      const held = [...stored.values()].reduce((sum, { bytes }) => sum + bytes, 0);
      if (stored.size >= adapterCountMax || held + layout.bytes > bytesMax) {
        const limits = `Max: ${adapterCountMax} adapters, ${bytesMax} bytes`;
        const given = `${stored.size + 1}, ${held + layout.bytes}`;
        throw new AdapterError("adapter-too-large", name, `no room for it. ${limits}. Given: ${given}`);
      }
      const shared = { id: nextId++, width: layout.width, factors: fill(layout, adapter) };
      const entry = { name, hash, bytes: layout.bytes, shared };
      stored.set(name, entry);
      return describe(entry);
    },
    remove: (name) => {
      get(name);
      stored.delete(name);
    },
    get,
    list: () => [...stored.values()].map(describe),
  };
}

interface Layout {
  readonly width: number;
  readonly bytes: number;
}

/** The bucket of an adapter and the bytes it takes. @throws AdapterError unless it fits the model. */
function layOut(linears: readonly Linear[], adapter: Adapter): Layout {
  checkAdapter(adapter);
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  const width = bucketOf(Math.max(...[...adapter.modules.values()].map(({ rank }) => rank)));
  let bytes = 0;
  for (const [name, { inSize, outSize }] of adapter.modules) {
    const linear = byName.get(name);
    if (!linear) {
      const reason = "this module cannot be adapted here: the model lacks it, or was opened without it";
      throw new AdapterError("adapter-mismatch", name, reason);
    }
    if (linear.inSize !== inSize || linear.outSize !== outSize) {
      const reason = `it is [${outSize},${inSize}], the model's is [${linear.outSize},${linear.inSize}]`;
      throw new AdapterError("adapter-mismatch", name, reason);
    }
    bytes += width * (inSize + outSize) * Float32Array.BYTES_PER_ELEMENT;
  }
  return { width, bytes };
}

/** Pad an adapter to its bucket, and turn B so that both factors have a row per column. */
function fill({ width, bytes }: Layout, adapter: Adapter): Map<string, Float32Array> {
  const memory = new SharedArrayBuffer(bytes);
  let offset = 0;
  const take = (length: number) => {
    const values = new Float32Array(memory, offset, length);
    offset += values.byteLength;
    return values;
  };
  const factors = new Map<string, Float32Array>();
  for (const [name, module] of adapter.modules) {
    const a = take(width * module.inSize);
    a.set(module.a);
    const b = take(width * module.outSize);
    turn(module.b, module, scaleOf(adapter, module), b);
    if (!b.every(Number.isFinite)) {
      throw new AdapterError("adapter-invalid", name, "scale · B overflows float32");
    }
    factors.set(`${name}.a`, a).set(`${name}.b`, b);
  }
  return factors;
}

/** B[out, rank] → scale · Bᵀ[width, out]. */
function turn(
  b: Float32Array,
  { rank, outSize }: { rank: number; outSize: number },
  scale: number,
  into: Float32Array,
): void {
  for (let column = 0; column < rank; column++) {
    for (let row = 0; row < outSize; row++) into[column * outSize + row] = scale * b[row * rank + column]!;
  }
}

function bucketOf(rank: number): number {
  if (rank > bankRankMax) {
    throw new AdapterError(
      "adapter-mismatch",
      "rank",
      `at most ${bankRankMax} beside others. Given: ${rank}`,
    );
  }
  return Math.max(bucketMin, 2 ** Math.ceil(Math.log2(rank)));
}

/**
 * Adapters side by side: wide ones first, whatever the order given, so that each starts at a multiple of its
 * own width and never straddles the pieces of 128 in which kernels sum over columns.
 */
export function columnsOf(linears: readonly Linear[], adapters: readonly SharedAdapter[]): Columns {
  const ordered = adapters.toSorted((x, y) => y.width - x.width || x.id - y.id);
  const placeOf = new Map<number, { first: number; width: number }>();
  let count = 0;
  for (const { id, width } of ordered) {
    placeOf.set(id, { first: count, width });
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
      for (const { id, factors: own } of ordered) {
        const values = own.get(`${name}.${part}`);
        if (values) all.set(values, placeOf.get(id)!.first * size);
      }
      factors.set(`${name}.${part}`, all);
    }
  }
  return { count, placeOf, factors };
}

/** `adapterMask` [rows, count] for rows that follow these adapters; null is the base model. */
export function maskOf(columns: Columns, followed: readonly (SharedAdapter | null)[]): Float32Array {
  const mask = new Float32Array(followed.length * columns.count);
  followed.forEach((adapter, row) => {
    if (adapter === null) return;
    const place = columns.placeOf.get(adapter.id);
    invariant(place, `columns hold the adapter ${adapter.id}`);
    const start = row * columns.count + place.first;
    mask.fill(1, start, start + place.width);
  });
  return mask;
}

/** An adapter's name that is taken. */
export class AdapterKnownError extends ModelRuntimeError {
  constructor(name: string) {
    super("adapter-known", `Adapter ${excerpt(name)} is loaded already.`);
  }
}

/** A name that no adapter is loaded under. */
export class AdapterUnknownError extends ModelRuntimeError {
  constructor(name: string) {
    super("adapter-unknown", `Adapter ${excerpt(name)} is not loaded.`);
  }
}
