import { copyFile, mkdir, open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expectedTensors, linearsOf } from "#runtime/decoder/description";
import { claimTensors } from "#runtime/families/weight-claims";
import { decodeFloats, isFloatType } from "./float-bytes.ts";
import { configLimits, ModelFolderError, readJson } from "./json-file.ts";
import { resolveFile } from "./model-files.ts";
import { type ModelFolder, readModelFolder, type WeightEntry } from "./model-folder.ts";
import { blockSizes, type Quantisation, quantisationMethod, quantise, zeroByte } from "./quantisation.ts";
import { partsOf, zerosName } from "./quantised-tensors.ts";
import { WeightFileError } from "./safetensors.ts";
import { type TensorSource, writeSafetensors } from "./safetensors-writer.ts";
import { readTensorBytes } from "./tensor-bytes.ts";

/** Files that travel with the weights, where the source has them. */
const companions = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "chat_template.jinja",
];

/** What `quantiseFolder` did, in bytes of tensors and counts of matrices. */
export interface QuantisedFolder {
  readonly matricesQuantised: number;
  /** Matrices left as they were: rows that are not whole blocks. */
  readonly matricesKept: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Write a copy of a model folder whose layer matrices are stored in blocks of `bits`-bit codes; embeddings,
 * output matrix, norms and biases stay as they are. `openModel` reads it. One matrix is in memory at a time.
 * The error of each weight is bounded by `errorMax`.
 * @throws ModelFolderError if the target exists and is not empty, or the source is quantised; WeightFileError
 * naming a matrix that holds what is no finite number; and what `readModelFolder` throws.
 */
export async function quantiseFolder(
  source: string,
  target: string,
  options: { readonly bits: 4 | 8; readonly blockSize?: number },
): Promise<QuantisedFolder> {
  const { bits, blockSize = 32 } = options ?? {};
  const quantisation = { bits, blockSize };
  if (!blockSizes.includes(quantisation.blockSize) || ![4, 8].includes(quantisation.bits)) {
    throw new ModelFolderError(
      "request-invalid",
      `bits must be 4 or 8, blockSize one of ${blockSizes.join(", ")}.`,
    );
  }
  const folder = await readModelFolder(source);
  claimTensors(folder, expectedTensors(folder.config));
  if (folder.quantised.size > 0) {
    throw new ModelFolderError("model-file-invalid", `${source}: is quantised already.`);
  }
  await mkdir(target, { recursive: true });
  if ((await readdir(target)).length > 0) {
    throw new ModelFolderError("model-folder-exists", `${target}: is not empty.`);
  }
  const { sources, summary } = planTensors(folder, quantisation);
  await writeSafetensors(join(target, "model.safetensors"), sources);
  await copyCompanions(folder, target);
  await writeConfig(folder, target, quantisation);
  return summary;
}

function planTensors(folder: ModelFolder, quantisation: Quantisation) {
  const layouts = new Map(linearsOf(folder.config).map(({ name, lies }) => [`${name}.weight`, lies]));
  const prefix = folder.config.omittedPrefix ?? "";
  const sources: TensorSource[] = [];
  let [zeroBytes, matricesQuantised, matricesKept, bytesBefore] = [0, 0, 0, 0];
  for (const entry of folder.tensors.values()) {
    bytesBefore += entry.bytes;
    const lies = layouts.get(entry.name) ?? layouts.get(prefix + entry.name);
    const inSize = lies === "in-out" ? entry.shape[0] : entry.shape[1];
    if (lies === undefined || inSize === undefined || inSize % quantisation.blockSize !== 0) {
      if (lies !== undefined) matricesKept++;
      sources.push({ ...entry, read: () => readEntry(folder, entry) });
      continue;
    }
    matricesQuantised++;
    const parts = planMatrix(folder, entry, lies, quantisation);
    sources.push(...parts);
    zeroBytes = Math.max(zeroBytes, Math.ceil(((parts[1]?.bytes ?? 0) / 4) * (quantisation.bits / 8)));
  }
  if (zeroBytes > 0) {
    const read = () => new Uint8Array(zeroBytes).fill(zeroByte(quantisation));
    sources.push({ name: zerosName, dtype: "U8", shape: [zeroBytes], bytes: zeroBytes, read });
  }
  const bytesAfter = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  return { sources, summary: { matricesQuantised, matricesKept, bytesBefore, bytesAfter } };
}

/** Codes [O, blocks, bytes] and scales [O, blocks] of a matrix. It is read and quantised once for each of the two. */
function planMatrix(
  folder: ModelFolder,
  entry: WeightEntry,
  lies: "out-in" | "in-out",
  quantisation: Quantisation,
): [TensorSource, TensorSource] {
  const [first = 0, second = 0] = entry.shape;
  const [outSize, inSize] = lies === "out-in" ? [first, second] : [second, first];
  const blocks = inSize / quantisation.blockSize;
  const blockBytes = (quantisation.blockSize * quantisation.bits) / 8;
  const names = partsOf(entry.name);
  const make = async () => {
    const bytes = await readEntry(folder, entry);
    if (!isFloatType(entry.dtype)) throw new WeightFileError(entry.file, "not floating point", entry.name);
    const values = decodeFloats(entry.dtype, bytes);
    const made = quantise(lies === "out-in" ? values : transposed(values, first, second), quantisation);
    if (!made) throw new WeightFileError(entry.file, "holds what is no finite number", entry.name);
    return made;
  };
  return [
    {
      name: names.codes,
      dtype: "U8",
      shape: [outSize, blocks, blockBytes],
      bytes: outSize * blocks * blockBytes,
      read: async () => (await make()).codes,
    },
    {
      name: names.scales,
      dtype: "F32",
      shape: [outSize, blocks],
      bytes: outSize * blocks * 4,
      read: async () => new Uint8Array((await make()).scales.buffer),
    },
  ];
}

/** values[rows, columns] → [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = values[row * columns + column] ?? 0;
    }
  }
  return turned;
}

async function readEntry(folder: ModelFolder, entry: WeightEntry): Promise<Uint8Array> {
  const path = folder.files.paths.get(entry.file) ?? entry.file;
  const file = await open(path, "r");
  try {
    return await readTensorBytes(file, path, entry);
  } finally {
    await file.close();
  }
}

async function copyCompanions({ files }: ModelFolder, target: string): Promise<void> {
  const present = new Set(await readdir(files.folder));
  for (const name of companions.filter((name) => present.has(name))) {
    await copyFile(await resolveFile(files.folder, name), join(target, name));
  }
}

async function writeConfig(
  { files }: ModelFolder,
  target: string,
  quantisation: Quantisation,
): Promise<void> {
  const config = await readJson(files.paths.get("config.json") ?? "config.json", configLimits);
  const { bits, blockSize } = quantisation;
  const quantization_config = { quant_method: quantisationMethod, bits, block_size: blockSize };
  const text = JSON.stringify({ ...(config as object), quantization_config }, null, 2);
  await writeFile(join(target, "config.json"), `${text}\n`);
}
