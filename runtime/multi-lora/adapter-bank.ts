import type { Linear } from "#runtime/decoder/description";
import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { type Adapter, AdapterError, checkAdapter, scaleOf } from "#runtime/lora/adapter";

/** Largest rank of a loaded adapter. */
export const bankRankMax = 128;

/** Most adapters of one model at a time. */
export const adapterCountMax = 4096;

/** Narrowest bucket: adapters of lower rank are padded to it with zeros. */
const bucketMin = 8;

let nextId = 0;

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
