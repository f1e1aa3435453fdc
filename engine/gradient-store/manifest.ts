import { createHash } from "node:crypto";
import { open, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ExecutionProfile } from "#runtime/index";
import { PipelineError } from "#schema/errors";
import { type Layout, rowBytes, scaleCount } from "./layout.ts";

/**
 * What a store holds: gradients of an adapter's training records, those solved by `dual` for one product per query, or
 * for each LoRA matrix the factor of its Fisher information, by which `primal` solves a query's gradient.
 * Beside it lie shards, each: scales (float32) ‖ rows ‖ record ids (UTF-8, a line each), little endian.
 */
export type Manifest = z.infer<typeof manifestSchema>;

/** What must be the same for two builds to belong to one store. */
export type Description = Omit<Manifest, "format" | "shards">;

export type Shard = Manifest["shards"][number];

const hash = z.string().regex(/^0x[0-9a-f]{64}$/);
const profileSchema = z.strictObject({
  ortVersion: z.string(),
  provider: z.string(),
  cpuIsa: z.string(),
  graphHash: hash,
  weightHashes: z.record(z.string(), hash),
  sessionOptions: z.record(z.string(), z.json()),
});

/**
 * How gradients were computed: the runtime's execution profile of their graph. Where one of these differs, the last bits
 * do. The base's weights stand here by file; the adapter, which is fed to the graph, is the manifest's `adapterHash`.
 */
export type Profile = z.infer<typeof profileSchema>;

const manifestSchema = z.strictObject({
  format: z.literal(3),
  methodHash: hash,
  adapterHash: hash,
  /** Absent where no graph of the runtime computed the gradients. */
  profile: profileSchema.optional(),
  content: z.enum(["gradients", "solved", "fisher"]),
  layout: z.strictObject({
    encoding: z.enum(["int8", "float16", "float32"]),
    blocks: z.array(z.strictObject({ name: z.string(), columns: z.int().positive() })).min(1),
  }),
  recordsPerShard: z.int().positive(),
  shards: z.array(
    z.strictObject({
      file: z.string().regex(/^shard-\d{6}-\d+\.bin$/),
      records: z.int().positive(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** What a store keeps of the runtime's profile. */
export function profileOf(of: ExecutionProfile): Profile {
  const { ortVersion, provider, cpuIsa, graphHash, weightHashes } = of;
  return profileSchema.parse({
    ...{ ortVersion, provider, cpuIsa, graphHash, weightHashes },
    sessionOptions: of.sessionOptions,
  });
}

const manifestFile = "manifest.json";

/** Largest manifest: a shard's entry takes some 150 bytes. */
const manifestBytesMax = 64 * 1024 * 1024;

/** The manifest of a folder, null where it has none. @throws StoreDamagedError where it is not one. */
export async function readManifest(folder: string): Promise<Manifest | null> {
  const path = join(folder, manifestFile);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (found === null) return null;
  if (found.size > manifestBytesMax) throw new StoreDamagedError(manifestFile, `it has ${found.size} bytes`);
  const text = await readFile(path, "utf8");
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new StoreDamagedError(manifestFile, z.prettifyError(parsed.error));
  return parsed.data;
}

/** Put the manifest in place at once: a crash leaves the old one or the new one. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  // Parsed, so that its fields stand in the schema's order whoever wrote them.
  const text = JSON.stringify(manifestSchema.parse(manifest), null, 2);
  await writeDurably(folder, manifestFile, [Buffer.from(`${text}\n`)]);
}

/** Write, flush, rename, flush the folder. */
export async function writeDurably(
  folder: string,
  file: string,
  parts: readonly Uint8Array[],
): Promise<void> {
  const partial = join(folder, `${file}.partial`);
  const handle = await open(partial, "w");
  try {
    for (const part of parts) await handle.writeFile(part);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(partial, join(folder, file));
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Where a shard's parts are read to: scales [records · scaleCount], rows [records · rowBytes]. May be shared memory. */
export type ShardMemory = { readonly scales: Float32Array; readonly rows: Uint8Array };

/** Longest record id, in bytes of UTF-8. */
export const recordIdBytesMax = 1_024;

/**
 * Read a shard's parts to their place and verify its checksum; a store of a gigabyte is never held twice.
 * @throws StoreDamagedError; `memory` holds nothing of use then.
 */
export async function readShard(
  folder: string,
  shard: Shard,
  layout: Layout,
  memory?: ShardMemory,
): Promise<ShardMemory & { readonly ids: RecordIds }> {
  const handle = await open(join(folder, shard.file), "r").catch((cause: unknown) => {
    throw new StoreDamagedError(shard.file, "it cannot be read", cause);
  });
  try {
    // Before memory is taken: a damaged manifest may ask for any.
    const recordBytes = scaleCount(layout) * Float32Array.BYTES_PER_ELEMENT + rowBytes(layout);
    const idBytes = (await handle.stat()).size - shard.records * recordBytes;
    if (!(idBytes >= 0 && idBytes <= shard.records * (recordIdBytesMax + 1))) {
      throw new StoreDamagedError(shard.file, "its size is not that of its records");
    }
    const { scales, rows } = memory ?? shardMemory(shard.records, layout);
    const ids = Buffer.alloc(idBytes);
    const digest = createHash("sha256");
    for (const part of [bytesOf(scales), rows, ids]) {
      for (let at = 0; at < part.length; ) {
        const { bytesRead } = await handle.read(part, at, part.length - at);
        if (bytesRead === 0) throw new StoreDamagedError(shard.file, "it was cut while it was read");
        at += bytesRead;
      }
      digest.update(part);
    }
    const given = digest.digest("hex");
    if (given !== shard.sha256)
      throw new StoreDamagedError(shard.file, `sha256 is ${given}, not ${shard.sha256}`);
    const starts = startsOf(ids, shard.records);
    if (starts === null) throw new StoreDamagedError(shard.file, "record ids are missing");
    return { scales, rows, ids: { text: ids, starts } };
  } finally {
    await handle.close();
  }
}

/** Ids of a shard's records as they lie in the file, 18 bytes and less each where strings take 60, and where each starts. */
export type RecordIds = { readonly text: Buffer; readonly starts: Uint32Array };

export function recordIdAt({ text, starts }: RecordIds, index: number): string {
  const end = index + 1 < starts.length ? starts[index + 1]! - 1 : text.length;
  return text.toString("utf8", starts[index], end);
}

/** Where each of `count` lines starts; null where there are more or fewer. */
function startsOf(text: Buffer, count: number): Uint32Array | null {
  const starts = new Uint32Array(count);
  let [found, at] = [0, 0];
  while (found < count) {
    starts[found++] = at;
    const end = text.indexOf(10, at);
    if (end === -1) break;
    at = end + 1;
  }
  return found === count && text.indexOf(10, starts[count - 1]) === -1 ? starts : null;
}

export function shardMemory(records: number, layout: Layout): ShardMemory {
  return {
    scales: new Float32Array(records * scaleCount(layout)),
    rows: new Uint8Array(records * rowBytes(layout)),
  };
}

/** The same memory as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new StoreDamagedError(manifestFile, "no JSON", cause);
  }
}

export class StoreDamagedError extends PipelineError {
  override readonly name = "StoreDamagedError";
  constructor(file: string, reason: string, cause?: unknown) {
    super(`${file} of the gradient store is damaged: ${reason}`, {
      code: "store-damaged",
      retryable: false,
      cause,
    });
  }
}
