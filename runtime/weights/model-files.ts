import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { indexLimits, ModelFolderError, readJson } from "./json-file.ts";
import { decodeShardIndex } from "./shard-index.ts";

const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";

/** Files that the tokenizer is read from: those that are there count. Weights need none of them. */
const tokenizerNames = ["tokenizer.json", "tokenizer_config.json"];

/** The files of a model folder: found, inside what a model may read, and nothing of them read yet. */
export interface ModelFiles {
  /** Absolute path of the folder with symbolic links resolved. */
  readonly folder: string;
  /** Every file that counts, by name, with the real path behind it. Sorted by name, as the artifact hash takes them. */
  readonly paths: ReadonlyMap<string, string>;
  /** Names of the weight files among them. */
  readonly weights: readonly string[];
  /** Shard of each tensor as the index says, or null when all are in model.safetensors. */
  readonly fileOf: ReadonlyMap<string, string> | null;
  /** Absolute folder from which the weight files are named to ONNX Runtime, which follows no link out of it. */
  readonly weightsRoot: string;
}

/**
 * Find the files of a model folder: config.json, what there is of the tokenizer's files, and
 * model.safetensors or else model.safetensors.index.json with its shards. A link may lead to a file of the
 * same folder, or, from a snapshot of a Hugging Face hub cache (`models--…/snapshots/<revision>`), to a
 * file of that model's `blobs` folder; nowhere else.
 * @throws ModelFolderError if a file is missing, leads elsewhere, or the index cannot be read.
 */
export async function findModelFiles(path: string): Promise<ModelFiles> {
  const folder = await resolveFolder(path);
  const shards = (await exists(join(folder, singleName))) ? null : await findShards(folder);
  const weights = shards?.files ?? [singleName];
  const names = ["config.json", ...weights];
  for (const name of tokenizerNames) if (await exists(join(folder, name))) names.push(name);
  if (shards) names.push(indexName);
  const paths = new Map<string, string>();
  for (const name of names.toSorted()) paths.set(name, await resolveFile(folder, name));
  const isLinked = weights.some((name) => dirname(paths.get(name) ?? "") !== folder);
  const weightsRoot = isLinked ? dirname(dirname(folder)) : folder;
  return { folder, paths, weights, fileOf: shards?.fileOf ?? null, weightsRoot };
}

/**
 * Identity of a model's files: SHA-256 over the lines "<sha256 hex>  <name>\n" of the files in name order,
 * so `LC_ALL=C sha256sum config.json model*.safetensors* tokenizer.json tokenizer_config.json | sha256sum`
 * inside a folder with those files prints the same value (where one is missing, without it). Other files of the folder do not count.
 * @throws ModelFolderError as `findModelFiles`.
 */
export async function hashArtifact(folder: string): Promise<`0x${string}`> {
  return (await hashFiles(await findModelFiles(folder))).artifactHash;
}

/** `hashArtifact` of files already found, and the SHA-256 of each weight file by name. */
export async function hashFiles({ paths, weights }: ModelFiles): Promise<{
  artifactHash: `0x${string}`;
  weightHashes: Record<string, `0x${string}`>;
}> {
  const hashes = await hashEach(paths);
  const weightHashes = weights.map((name) => [name, `0x${hashes.get(name)}`] as const);
  return { artifactHash: hashOfHashes(hashes), weightHashes: Object.fromEntries(weightHashes) };
}

/**
 * Identity of an adapter's files, as `hashArtifact` is of a model's:
 * `sha256sum adapter_config.json adapter_model.safetensors | sha256sum`.
 * @throws ModelFolderError if a file is missing, or a link that leaves the folder.
 */
export async function hashAdapter(path: string): Promise<`0x${string}`> {
  const folder = await resolveFolder(path);
  const paths = new Map<string, string>();
  for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
    paths.set(name, await resolveFile(folder, name));
  }
  return hashOfHashes(await hashEach(paths));
}

/** SHA-256 of each file, in hex. */
async function hashEach(paths: ReadonlyMap<string, string>): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const [name, path] of paths) {
    const hash = createHash("sha256");
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
    hashes.set(name, hash.digest("hex"));
  }
  return hashes;
}

function hashOfHashes(hashes: ReadonlyMap<string, string>): `0x${string}` {
  const lines = [...hashes].map(([name, hash]) => `${hash}  ${name}\n`);
  return `0x${createHash("sha256").update(lines.join("")).digest("hex")}`;
}

/** Name of a file from `weightsRoot`, with forward slashes as ONNX wants it. */
export function locationOf(files: ModelFiles, name: string): string {
  return relative(files.weightsRoot, files.paths.get(name) ?? name)
    .split(sep)
    .join("/");
}

/**
 * The folder behind a path, links resolved.
 * @throws ModelFolderError if there is none.
 */
export async function resolveFolder(folder: string): Promise<string> {
  const real = await realpath(folder).catch((cause: unknown) => {
    throw new ModelFolderError("model-folder-missing", `${folder}: no such folder.`, cause);
  });
  if (!(await stat(real)).isDirectory()) {
    throw new ModelFolderError("model-folder-missing", `${folder}: not a folder.`);
  }
  return real;
}

/**
 * Real path of a file of a resolved folder.
 * @throws ModelFolderError if it is missing, not a file, or a link to where a model may not read.
 */
export async function resolveFile(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const real = await realpath(path).catch((cause: unknown) => {
    throw new ModelFolderError("model-file-missing", `${path}: no such file.`, cause);
  });
  if (dirname(real) !== folder && dirname(real) !== (await blobsOf(folder))) {
    throw new ModelFolderError(
      "model-path-escape",
      `${path}: leads out of its folder, to ${real}. Copy the file into the folder, or open a whole hub cache.`,
    );
  }
  if (!(await stat(real)).isFile()) throw new ModelFolderError("model-file-missing", `${path}: not a file.`);
  return real;
}

/** Where a hub cache keeps the contents of the snapshot `folder`, or null if that is no snapshot. */
async function blobsOf(folder: string): Promise<string | null> {
  const model = dirname(dirname(folder));
  if (basename(dirname(folder)) !== "snapshots" || !basename(model).startsWith("models--")) return null;
  const blobs = join(model, "blobs");
  const real = await realpath(blobs).catch(() => null); // No cache: then no link may leave the folder.
  return real === blobs ? blobs : null;
}

async function findShards(folder: string) {
  if (!(await exists(join(folder, indexName)))) {
    throw new ModelFolderError(
      "model-file-missing",
      `${join(folder, singleName)}: no such file, and no ${indexName} beside it.`,
    );
  }
  const path = await resolveFile(folder, indexName);
  const decoded = decodeShardIndex(await readJson(path, indexLimits));
  if (!decoded.ok) {
    throw new ModelFolderError("model-file-invalid", `${join(folder, indexName)}: ${decoded.reason}.`);
  }
  return decoded;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
