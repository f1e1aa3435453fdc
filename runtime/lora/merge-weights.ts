import { copyFile, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeFloats, encodeFloats, isFloatType } from "#runtime/weights/float-bytes";
import { configLimits, readJson } from "#runtime/weights/json-file";
import { findModelFiles, type ModelFiles, resolveFile } from "#runtime/weights/model-files";
import { read, type TensorEntry } from "#runtime/weights/safetensors";
import { type TensorSource, writeSafetensors } from "#runtime/weights/safetensors-writer";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import { type Adapter, AdapterError, checkAdapter, type LoraModule, scaleOf } from "./adapter.ts";
import { createFolder } from "./new-folder.ts";

/** Families whose linear layers are stored as [in, out]. Source: transformers' Conv1D. */
const transposedFamilies = new Set(["gpt2"]);

/** Files beside the weights that belong to a model: configuration, tokenizer, chat template, licence. */
const companion = /^[\w-][\w.-]*\.(json|jinja|model|txt|md)$|^LICENSE$/;

/**
 * Write a copy of a model folder with an adapter merged into its weights: W + scale·B·A, summed in float64 and
 * rounded once to the type of W. One tensor is in memory at a time. The new folder appears whole or not at all.
 * @throws AdapterError `adapter-mismatch` naming a module the model lacks or has in another size, or whose
 * weights are quantised; `adapter-exists` if the new folder holds anything. ModelFolderError and WeightFileError
 * for the base.
 */
export async function mergeAndSave(baseFolder: string, adapter: Adapter, newFolder: string): Promise<void> {
  checkAdapter(adapter);
  const files = await findModelFiles(baseFolder);
  await checkLayout(files, adapter);
  const shards = new Map<string, ReadonlyMap<string, TensorEntry>>();
  for (const name of files.weights) shards.set(name, await read(files.paths.get(name)!));
  const merges = placeModules(adapter, shards);
  await createFolder(newFolder, async (partial) => {
    for (const name of await companionsOf(files)) {
      await copyFile(await resolveFile(files.folder, name), join(partial, name));
    }
    for (const [name, tensors] of shards) {
      await mergeShard(files.paths.get(name)!, join(partial, name), tensors, merges, adapter);
    }
  });
}

/**
 * weight + scale·B·A in float64. `weight` is [outSize, inSize], or [inSize, outSize] if the adapter is
 * transposed; so is the result. Pure.
 */
export function addDelta(
  weight: Float32Array,
  adapter: Pick<Adapter, "isRankStabilized" | "isTransposed">,
  module: LoraModule,
): Float64Array {
  const { rank, inSize, outSize, a, b } = module;
  const scale = scaleOf(adapter, module);
  const sum = Float64Array.from(weight);
  const [outStep, inStep] = adapter.isTransposed ? [1, outSize] : [inSize, 1];
  const row = new Float64Array(inSize);
  for (let out = 0; out < outSize; out++) {
    row.fill(0);
    for (let inner = 0; inner < rank; inner++) {
      const factor = b[out * rank + inner]!;
      for (let index = 0; index < inSize; index++) row[index]! += factor * a[inner * inSize + index]!;
    }
    for (let index = 0; index < inSize; index++) sum[out * outStep + index * inStep]! += scale * row[index]!;
  }
  return sum;
}

/** PEFT corrects a wrong flag without a word; here a flag that is wrong for the model is an adapter for another. */
async function checkLayout(files: ModelFiles, adapter: Adapter): Promise<void> {
  const config = await readJson(files.paths.get("config.json")!, configLimits);
  const family =
    config !== null && typeof config === "object" && "model_type" in config ? config.model_type : "";
  if (transposedFamilies.has(String(family)) === adapter.isTransposed) return;
  const reason = `${adapter.isTransposed} is wrong for a model of type ${JSON.stringify(family)}`;
  throw new AdapterError("adapter-config-unsupported", "adapter_config.json: fan_in_fan_out", reason);
}

/** The module to be merged into each tensor, by the tensor's name. */
function placeModules(
  adapter: Adapter,
  shards: ReadonlyMap<string, ReadonlyMap<string, TensorEntry>>,
): ReadonlyMap<string, LoraModule> {
  const tensors = new Map([...shards.values()].flatMap((entries) => [...entries]));
  const places = new Map<string, LoraModule>();
  for (const [name, module] of adapter.modules) {
    // Published files of some families leave out the first part of the name, such as "transformer".
    const candidates = [`${name}.weight`, `${name.slice(name.indexOf(".") + 1)}.weight`];
    const found = candidates.map((candidate) => tensors.get(candidate)).find((entry) => entry !== undefined);
    if (found === undefined) throw mismatch(name, "the model has no such weight of its own");
    checkShape(name, module, adapter, found);
    if (places.has(found.name)) throw mismatch(name, `another module is merged into ${found.name} already`);
    places.set(found.name, module);
  }
  return places;
}

function checkShape(
  name: string,
  { inSize, outSize }: LoraModule,
  adapter: Adapter,
  entry: TensorEntry,
): void {
  const wanted = adapter.isTransposed ? [inSize, outSize] : [outSize, inSize];
  if (entry.shape.length !== 2 || wanted.some((size, axis) => size !== entry.shape[axis])) {
    throw mismatch(name, `the model's weight is [${entry.shape}], the adapter is for [${wanted}]`);
  }
  if (!isFloatType(entry.dtype))
    throw mismatch(name, `the model's weight is ${entry.dtype}: merging needs floats`);
}

async function companionsOf({ folder, weights }: ModelFiles): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && companion.test(entry.name))
    .map((entry) => entry.name)
    .filter((name) => !weights.includes(name));
}

async function mergeShard(
  from: string,
  to: string,
  tensors: ReadonlyMap<string, TensorEntry>,
  merges: ReadonlyMap<string, LoraModule>,
  adapter: Adapter,
): Promise<void> {
  const file = await open(from, "r");
  const source = (entry: TensorEntry): TensorSource => ({
    ...entry,
    read: async () => {
      const bytes = await readTensorBytes(file, from, entry);
      const module = merges.get(entry.name);
      if (module === undefined || !isFloatType(entry.dtype)) return bytes;
      return encodeFloats(entry.dtype, addDelta(decodeFloats(entry.dtype, bytes), adapter, module));
    },
  });
  try {
    await writeSafetensors(to, [...tensors.values()].map(source));
  } finally {
    await file.close();
  }
}

function mismatch(key: string, reason: string): AdapterError {
  return new AdapterError("adapter-mismatch", key, reason);
}
