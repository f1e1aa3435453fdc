import type { Decoder } from "#runtime/decoder/description";
import { decodeConfig } from "#runtime/families/config";
import { configLimits, ModelFolderError, readJson, tokenizerLimits } from "./json-file.ts";
import { findModelFiles, locationOf, type ModelFiles, resolveFile, resolveFolder } from "./model-files.ts";
import { decodeQuantisation, type Quantisation } from "./quantisation.ts";
import { type StoredMatrix, separateQuantised } from "./quantised-tensors.ts";
import { read, type TensorEntry, WeightFileError } from "./safetensors.ts";

/** A tensor of a model, and the file that holds it. */
export interface WeightEntry extends TensorEntry {
  /** Name of the file in the folder; for `locate`d folders, its name from `path`. */
  readonly file: string;
}

/** A Hugging Face folder whose files were found and checked; weights stay on disk. */
export interface ModelFolder {
  /** Absolute folder from which ONNX Runtime finds the files of a `locate`d folder. */
  readonly path: string;
  readonly files: ModelFiles;
  readonly config: Decoder;
  /** Tensors stored as numbers. */
  readonly tensors: ReadonlyMap<string, WeightEntry>;
  /** Matrices stored in blocks of codes, by the names they would have as tensors; empty unless quantised. */
  readonly quantised: ReadonlyMap<string, StoredMatrix>;
  readonly quantisation: Quantisation | null;
}

/**
 * Read config.json and the headers of the weight files, one or sharded.
 * Tensors are checked by the family that claims them (`claimTensors`), not here.
 * @throws ModelFolderError if a file is missing, too large, not JSON, or a link leaving the folder;
 * WeightFileError or ModelConfigError for their content.
 */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  const files = await findModelFiles(path);
  const json = await readJson(pathOf(files, "config.json"), configLimits);
  const config = decodeConfig(json);
  const quantisation = decodeQuantisation(json);
  const tensors = new Map<string, WeightEntry>();
  for (const file of files.weights) {
    for (const entry of (await read(pathOf(files, file))).values()) {
      checkPlace(files, file, entry.name, tensors.get(entry.name)?.file);
      tensors.set(entry.name, { ...entry, file });
    }
  }
  for (const [tensor, file] of files.fileOf ?? []) {
    if (!tensors.has(tensor))
      throw new WeightFileError(file, "the index puts it here, the file lacks it", tensor);
  }
  const { plain, quantised } = quantisation
    ? separateQuantised(tensors, quantisation)
    : { plain: tensors, quantised: new Map() };
  return { path: files.weightsRoot, files, config, tensors: plain, quantised, quantisation };
}

/**
 * The same folder with its tensors' files named as ONNX Runtime finds them. Only a hub cache differs: its
 * weights lie in `blobs` under the names of their hashes. Graphs to be hashed are built from the folder as
 * read, so that the same model has the same graphs wherever it lies.
 */
export function locate(folder: ModelFolder): ModelFolder {
  if (folder.path === folder.files.folder) return folder;
  const move = <Entry extends WeightEntry>(entry: Entry): Entry => ({
    ...entry,
    file: locationOf(folder.files, entry.file),
  });
  const tensors = [...folder.tensors].map(([name, entry]) => [name, move(entry)] as const);
  const quantised = [...folder.quantised].map(([name, matrix]) => {
    const parts = { codes: move(matrix.codes), scales: move(matrix.scales), zeros: move(matrix.zeros) };
    return [name, { ...matrix, ...parts }] as const;
  });
  return { ...folder, tensors: new Map(tensors), quantised: new Map(quantised) };
}

/**
 * Read the two tokenizer files of a model folder, with the limits of `json-file.ts`.
 * @throws ModelFolderError if one is missing, too large, not JSON, or a link leaving the folder.
 */
export async function readTokenizerFiles(
  path: string,
): Promise<{ tokenizerJson: unknown; tokenizerConfig: unknown }> {
  const folder = await resolveFolder(path);
  return {
    tokenizerJson: await readJson(await resolveFile(folder, "tokenizer.json"), tokenizerLimits),
    tokenizerConfig: await readJson(await resolveFile(folder, "tokenizer_config.json"), configLimits),
  };
}

/** A tensor must be where the index says, and nowhere else. */
function checkPlace(files: ModelFiles, file: string, tensor: string, other: string | undefined): void {
  if (other !== undefined) throw new WeightFileError(file, `it is also in ${other}`, tensor);
  const expected = files.fileOf?.get(tensor);
  if (files.fileOf && expected !== file) {
    throw new WeightFileError(file, `the index puts it in ${expected ?? "no file"}`, tensor);
  }
}

function pathOf(files: ModelFiles, name: string): string {
  const path = files.paths.get(name);
  if (path === undefined) throw new ModelFolderError("model-file-missing", `${name}: no such file.`);
  return path;
}
