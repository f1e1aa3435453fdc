import { createHash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { invariant, PipelineError } from "#schema/errors";
import { GradientNotFiniteError } from "../influence/block.ts";
import { encodeBlock, type Layout, offsets } from "./layout.ts";
import {
  bytesOf,
  type Description,
  type Manifest,
  readManifest,
  readShard,
  recordIdBytesMax,
  type Shard,
  type ShardMemory,
  shardMemory,
  writeDurably,
  writeManifest,
} from "./manifest.ts";

/** A record's gradient, a vector per block of the layout. */
export type RecordGradient = readonly Float32Array[];

export type StoreJob = {
  readonly folder: string;
  readonly description: Description;
  /** All records the store shall have, in order. Those it has must be the first of them. */
  readonly recordIds: readonly string[];
  /** Gradients of at most `recordsPerShard` records, in their order. */
  readonly gradientsOf: (recordIds: readonly string[]) => Promise<readonly RecordGradient[]>;
  readonly onProgress?: (progress: { recordsDone: number; recordsTotal: number }) => void;
  readonly signal?: AbortSignal;
};

/**
 * Build a store, or go on with one: after a crash, or because records were added. A shard counts once the manifest names
 * it, so a killed build loses at most one shard's work and ends in the same bytes as one left alone. One builder per
 * folder: the job's key keeps others away.
 * @throws StoreMismatchError, StoreDamagedError, GradientNotFiniteError; the signal's reason when aborted between shards.
 */
export async function buildStore(job: StoreJob): Promise<Manifest> {
  const { folder, description, recordIds, onProgress, signal } = job;
  await mkdir(folder, { recursive: true });
  let manifest: Manifest = (await readManifest(folder)) ?? { format: 3, ...description, shards: [] };
  await assertSameStore(folder, manifest, job);
  await removeLeftovers(folder, manifest);
  const { recordsPerShard } = description;
  let done = manifest.shards.reduce((total, { records }) => total + records, 0);
  onProgress?.({ recordsDone: done, recordsTotal: recordIds.length });
  while (done < recordIds.length) {
    signal?.throwIfAborted();
    const index = Math.floor(done / recordsPerShard);
    const end = Math.min((index + 1) * recordsPerShard, recordIds.length);
    const superseded = manifest.shards[index];
    const shard = await writeShard(job, index, recordIds.slice(index * recordsPerShard, end), superseded);
    manifest = { ...manifest, shards: [...manifest.shards.slice(0, index), shard] };
    await writeManifest(folder, manifest);
    if (superseded !== undefined) await rm(join(folder, superseded.file));
    done = end;
    onProgress?.({ recordsDone: done, recordsTotal: recordIds.length });
  }
  return manifest;
}

async function assertSameStore(folder: string, manifest: Manifest, job: StoreJob): Promise<void> {
  const { format: _, shards, ...found } = manifest;
  if (!isDeepStrictEqual(found, { ...job.description })) {
    throw new StoreMismatchError(
      folder,
      "it is of another adapter, engine version, execution profile or layout",
    );
  }
  let start = 0;
  for (const shard of shards) {
    const { ids } = await readShard(folder, shard, manifest.layout);
    const wanted = job.recordIds.slice(start, start + shard.records);
    if (!ids.text.equals(Buffer.from(wanted.join("\n")))) {
      throw new StoreMismatchError(folder, `its records ${start} to ${start + shard.records} are others`);
    }
    start += shard.records;
  }
}

/** What a killed build left: files that no manifest names. */
async function removeLeftovers(folder: string, { shards }: Manifest): Promise<void> {
  const named = new Set(["manifest.json", ...shards.map(({ file }) => file)]);
  const ours = /^(shard-\d{6}-\d+\.bin|manifest\.json)(\.partial)?$/;
  for (const file of await readdir(folder)) {
    if (ours.test(file) && !named.has(file)) await rm(join(folder, file));
  }
}

/** Write the shard of these records; those a smaller shard has already are taken from it. */
async function writeShard(
  { folder, description: { layout }, gradientsOf }: StoreJob,
  index: number,
  recordIds: readonly string[],
  smaller: Shard | undefined,
): Promise<Shard> {
  invariant(
    recordIds.every((id) => id !== "" && !id.includes("\n") && Buffer.byteLength(id) <= recordIdBytesMax),
    `record ids are single lines of at most ${recordIdBytesMax} bytes`,
  );
  const { scales, rows } = shardMemory(recordIds.length, layout);
  const kept = smaller?.records ?? 0;
  if (smaller !== undefined) {
    const before = await readShard(folder, smaller, layout);
    scales.set(before.scales);
    rows.set(before.rows);
  }
  const added = recordIds.slice(kept);
  const gradients = await gradientsOf(added);
  invariant(gradients.length === added.length, "a gradient for each record");
  gradients.forEach((gradient, i) => {
    encodeRecord(layout, gradient, added[i]!, kept + i, { scales, rows });
  });
  const parts = [bytesOf(scales), rows, Buffer.from(recordIds.join("\n"))];
  const digest = parts.reduce((sha, part) => sha.update(part), createHash("sha256")).digest("hex");
  const file = `shard-${String(index).padStart(6, "0")}-${recordIds.length}.bin`;
  await writeDurably(folder, file, parts);
  return { file, records: recordIds.length, sha256: digest };
}

function encodeRecord(
  layout: Layout,
  gradient: RecordGradient,
  recordId: string,
  position: number,
  target: ShardMemory,
): void {
  const starts = offsets(layout);
  const start = position * starts.at(-1)!;
  layout.blocks.forEach(({ columns }, block) => {
    const values = gradient[block]!;
    invariant(values.length === columns, `block ${block} has ${columns} columns, got ${values.length}`);
    // x − x is 0 for every number and NaN for the others; a loop, because this sees every byte of a store.
    let spoilt = 0;
    for (let i = 0; i < values.length; i++) spoilt += values[i]! - values[i]!;
    if (spoilt !== 0) throw new GradientNotFiniteError(recordId, values.find((x) => !Number.isFinite(x))!);
    const bytes = target.rows.subarray(start + starts[block]!, start + starts[block + 1]!);
    const scale = encodeBlock(layout.encoding, values, bytes);
    if (layout.encoding === "int8") target.scales[position * layout.blocks.length + block] = scale;
  });
}

export class StoreMismatchError extends PipelineError {
  override readonly name = "StoreMismatchError";
  constructor(folder: string, reason: string) {
    super(`the gradient store ${folder} cannot be continued: ${reason}`, {
      code: "store-mismatch",
      retryable: false,
    });
  }
}
