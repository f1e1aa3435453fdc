import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ModelRuntimeError } from "#runtime/errors";
import { decodeConfig, type ModelConfig } from "./model-config.ts";
import { read, type TensorEntry } from "./safetensors.ts";

/** Files of a model folder, in the order the artifact hash takes them (by name). */
export const fileNames = [
  "config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
] as const;

/** Largest JSON file read into memory, in bytes. The biggest published tokenizer is about 35 MB. */
export const jsonBytesMax = 64 * 1024 * 1024;

/** A Hugging Face folder whose files were found, read and checked; weights stay on disk. */
export interface ModelFolder {
  /** Absolute path with symbolic links resolved. */
  readonly path: string;
  readonly weightsFile: "model.safetensors";
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig: unknown;
  readonly artifactHash: `0x${string}`;
}

/**
 * Read a model folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
 * Tensors are checked by the family that claims them (`claimTensors`), not here.
 * @throws ModelFolderError if a file is missing, too large, not JSON, or a link leaving the folder;
 * WeightFileError or ModelConfigError for their content.
 */
export async function readModelFolder(folder: string): Promise<ModelFolder> {
  const path = await resolveFolder(folder);
  for (const name of fileNames) await checkInside(path, name);
  const config = decodeConfig(await readJson(path, "config.json"));
  const tensors = await read(join(path, "model.safetensors"));
  return {
    path,
    weightsFile: "model.safetensors",
    config,
    tensors,
    tokenizerJson: await readJson(path, "tokenizer.json"),
    tokenizerConfig: await readJson(path, "tokenizer_config.json"),
    artifactHash: await hashArtifact(path),
  };
}

/** Read the two tokenizer files of a model folder, with the checks of `readModelFolder`. */
export async function readTokenizerFiles(
  folder: string,
): Promise<{ tokenizerJson: unknown; tokenizerConfig: unknown }> {
  const path = await resolveFolder(folder);
  await checkInside(path, "tokenizer.json");
  await checkInside(path, "tokenizer_config.json");
  return {
    tokenizerJson: await readJson(path, "tokenizer.json"),
    tokenizerConfig: await readJson(path, "tokenizer_config.json"),
  };
}

/**
 * Identity of a model's files: SHA-256 over the lines "<sha256 hex>  <name>\n" of the four files in
 * name order, so `sha256sum config.json model.safetensors tokenizer.json tokenizer_config.json |
 * sha256sum` inside the folder prints the same value. Other files of the folder do not count.
 * @throws ModelFolderError if a file is missing, or a link leaving the folder.
 */
export async function hashArtifact(folder: string): Promise<`0x${string}`> {
  const path = await resolveFolder(folder);
  const lines: string[] = [];
  for (const name of fileNames) {
    await checkInside(path, name);
    const hash = createHash("sha256");
    await pipeline(createReadStream(join(path, name)), hash);
    lines.push(`${hash.digest("hex")}  ${name}\n`);
  }
  return `0x${createHash("sha256").update(lines.join("")).digest("hex")}`;
}

async function resolveFolder(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (cause) {
    throw new ModelFolderError("model-folder-missing", `${folder}: no such folder.`, cause);
  }
}

/** Refuse a missing file, and one that a link moves elsewhere: the folder is all a model may read. */
async function checkInside(folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  const real = await realpath(path).catch((cause: unknown) => {
    throw new ModelFolderError("model-file-missing", `${path}: no such file.`, cause);
  });
  if (dirname(real) !== folder)
    throw new ModelFolderError("model-path-escape", `${path}: leads out of its folder.`);
  if (!(await stat(real)).isFile()) throw new ModelFolderError("model-file-missing", `${path}: not a file.`);
}

async function readJson(folder: string, name: string): Promise<unknown> {
  const path = join(folder, name);
  const bytes = (await stat(path)).size;
  if (bytes > jsonBytesMax) {
    throw new ModelFolderError(
      "model-file-too-large",
      `${path}: file is too large. Max: ${jsonBytesMax} bytes. Given: ${bytes} bytes.`,
    );
  }
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new ModelFolderError("model-file-invalid", `${path}: not JSON.`, cause);
  }
}

/** A model folder that must not be used; `code` says which rule it breaks. */
export class ModelFolderError extends ModelRuntimeError {
  constructor(code: string, message: string, cause?: unknown) {
    super(code, message, { cause });
  }
}
