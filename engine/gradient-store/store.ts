import { isDeepStrictEqual } from "node:util";
import { invariant, PipelineError } from "#schema/errors";
import type { Query } from "../influence/block.ts";
import { dot } from "../influence/matrix.ts";
import { kernelPagesMax, pageBytes, productsOver, queryEntryMax, sharedMemory } from "./kernel.ts";
import { decodeBlock, type Layout, offsets, quantiseQuery, rowBytes, scaleCount } from "./layout.ts";
import { type Manifest, type RecordIds, readManifest, readShard, recordIdAt } from "./manifest.ts";

/** A store that answers queries from memory. Thread-safe: no; a thread that wants its own makes one over `memory`. */
export type Store = {
  readonly manifest: Manifest;
  readonly recordCount: number;
  readonly recordIdAt: (index: number) => string;
  /**
   * Σ over blocks of rowᵢ · query, of every record, in the order of the build. Written to `target` where one is given:
   * for a million records that is 8 MB a query which nobody needs to collect.
   */
  readonly scores: (query: Query, target?: Float64Array) => Float64Array;
};

/** What the caller expects to find. A store of another adapter, method or profile is refused: its scores would be another's. */
export type Expected = Readonly<Pick<Manifest, "adapterHash" | "methodHash" | "profile">>;

/**
 * Open a store and read it into memory, every checksum verified. int8 rows stay int8 (a scored query is exact over the
 * quantised entries); others are held as float32.
 * @throws StoreMissingError, StoreForeignError, StoreDamagedError, StoreTooLargeError.
 */
export async function openStore(folder: string, expected: Expected): Promise<Store> {
  const manifest = await readOwnManifest(folder, expected);
  return manifest.layout.encoding === "int8" ? openBytes(folder, manifest) : openFloats(folder, manifest);
}

/** @throws StoreMissingError, StoreForeignError, StoreDamagedError. */
export async function readOwnManifest(folder: string, expected: Expected): Promise<Manifest> {
  const manifest = await readManifest(folder);
  if (manifest === null) throw new StoreMissingError(folder);
  for (const key of ["adapterHash", "methodHash"] as const) {
    if (manifest[key] !== expected[key]) throw new StoreForeignError(key, manifest[key], expected[key]);
  }
  const { profile } = manifest;
  if (!isDeepStrictEqual(profile, expected.profile))
    throw new StoreForeignError("profile", JSON.stringify(profile), JSON.stringify(expected.profile));
  return manifest;
}

async function openFloats(folder: string, manifest: Manifest): Promise<Store> {
  const { layout } = manifest;
  const starts = offsets(layout);
  const shardIds: RecordIds[] = [];
  const records: Float32Array[][] = [];
  for (const shard of manifest.shards) {
    const { rows, ids } = await readShard(folder, shard, layout);
    const aligned = Uint8Array.from(rows);
    for (let i = 0; i < shard.records; i++) {
      const start = i * starts.at(-1)!;
      records.push(
        layout.blocks.map(({ columns }, block) =>
          decodeBlock(layout.encoding, aligned.subarray(start + starts[block]!), columns, 1),
        ),
      );
    }
    shardIds.push(ids);
  }
  const scores = (query: Query, target: Float64Array = new Float64Array(records.length)) => {
    records.forEach((blocks, i) => {
      target[i] = blocks.reduce((total, block, index) => total + dot(block, query[index]!), 0);
    });
    return target;
  };
  return { manifest, ...lookup(manifest, shardIds), scores };
}

/** Memory: rows, then the query as int16, then the products of a block as int32. */
async function openBytes(folder: string, manifest: Manifest): Promise<Store> {
  const { layout, shards } = manifest;
  const count = shards.reduce((total, { records }) => total + records, 0);
  const stride = rowBytes(layout);
  const queryStart = count * stride;
  const widest = Math.max(...layout.blocks.map((_, block) => widthOf(layout, block)));
  const productsStart = queryStart + widest * 2;
  const bytes = productsStart + count * 4;
  if (bytes > kernelPagesMax * pageBytes) throw new StoreTooLargeError(folder, bytes);
  const memory = sharedMemory(Math.max(bytes, 1));
  const rows = new Uint8Array(memory.buffer);
  const scales = new Float32Array(count * scaleCount(layout));
  const shardIds: RecordIds[] = [];
  const perRecord = scaleCount(layout);
  let start = 0;
  for (const shard of shards) {
    const end = start + shard.records;
    const { ids } = await readShard(folder, shard, layout, {
      scales: scales.subarray(start * perRecord, end * perRecord),
      rows: rows.subarray(start * stride, end * stride),
    });
    shardIds.push(ids);
    start = end;
  }
  return {
    manifest,
    ...lookup(manifest, shardIds),
    scores: byteScores(layout, memory, { count, scales, queryStart, productsStart }),
  };
}

/** All shards but the last have `recordsPerShard` records. */
function lookup({ recordsPerShard, shards }: Manifest, shardIds: readonly RecordIds[]) {
  return {
    recordCount: shards.reduce((total, { records }) => total + records, 0),
    recordIdAt: (index: number) =>
      recordIdAt(shardIds[Math.floor(index / recordsPerShard)]!, index % recordsPerShard),
  };
}

type ByteLayout = { count: number; scales: Float32Array; queryStart: number; productsStart: number };

function byteScores(layout: Layout, memory: WebAssembly.Memory, held: ByteLayout): Store["scores"] {
  const { count, scales, queryStart, productsStart } = held;
  const products = productsOver(memory);
  const starts = offsets(layout);
  const stride = rowBytes(layout);
  const found = new Int32Array(memory.buffer, productsStart, count);
  return (query, total = new Float64Array(count)) => {
    invariant(query.length === layout.blocks.length, `${layout.blocks.length} blocks, got ${query.length}`);
    invariant(total.length === count, `a target of ${count} scores`);
    if (count === 0) return total;
    total.fill(0);
    layout.blocks.forEach(({ columns }, block) => {
      invariant(query[block]!.length === columns, `block ${block} has ${columns} columns`);
      const width = widthOf(layout, block);
      const target = new Int16Array(memory.buffer, queryStart, width);
      const step = quantiseQuery(query[block]!, queryEntryMax(width), target);
      products(starts[block]!, width, stride, count, queryStart, productsStart);
      for (let i = 0; i < count; i++)
        total[i]! += found[i]! * (scales[i * layout.blocks.length + block]! * step);
    });
    return total;
  };
}

/** Columns of a block with its padding. */
function widthOf(layout: Layout, block: number): number {
  const starts = offsets(layout);
  return starts[block + 1]! - starts[block]!;
}

export class StoreMissingError extends PipelineError {
  override readonly name = "StoreMissingError";
  constructor(folder: string) {
    super(`there is no gradient store in ${folder}`, { code: "store-missing", retryable: true });
  }
}

export class StoreForeignError extends PipelineError {
  override readonly name = "StoreForeignError";
  constructor(key: string, given: string | number, wanted: string | number) {
    super(`the gradient store is another's: ${key} is ${given}, not ${wanted}`, {
      code: "store-foreign",
      retryable: false,
    });
  }
}

export class StoreTooLargeError extends PipelineError {
  override readonly name = "StoreTooLargeError";
  constructor(folder: string, bytes: number) {
    super(
      `the gradient store ${folder} is too large. Max: ${kernelPagesMax * pageBytes} bytes. Given: ${bytes} bytes.`,
      { code: "store-too-large", retryable: false },
    );
  }
}
