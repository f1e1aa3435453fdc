import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { invariant } from "#runtime/errors";
import { decodeFloats, encodeFloats, isFloatType } from "#runtime/weights/float-bytes";
import { configLimits, readJson } from "#runtime/weights/json-file";
import { resolveFile, resolveFolder } from "#runtime/weights/model-files";
import { read, type TensorEntry } from "#runtime/weights/safetensors";
import { type TensorSource, writeSafetensors } from "#runtime/weights/safetensors-writer";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import { type Adapter, AdapterError, adapterBytesMax, checkAdapter, type LoraModule } from "./adapter.ts";
import { type AdapterConfig, decodeConfig, encodeConfig } from "./adapter-config.ts";
import { createFolder } from "./new-folder.ts";

/** Names of the two files of a PEFT adapter folder. */
export const adapterFileNames = ["adapter_config.json", "adapter_model.safetensors"] as const;

/** Most modules of one adapter; the largest published models have a few thousand linear layers. */
export const moduleCountMax = 10_000;

const tensorName = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/**
 * Read a PEFT adapter folder: adapter_config.json and adapter_model.safetensors (F32, F16, BF16 or F64, held as
 * float32). Every tensor must be the A or B of a module that the configuration targets: PEFT would leave others
 * out without a word. Whether the modules exist in a model is for the model to check.
 * @throws ModelFolderError for missing, oversized or linked-away files, WeightFileError for a damaged safetensors
 * file, AdapterError for what is not a plain LoRA adapter, naming the key or tensor.
 */
export async function readAdapter(folder: string): Promise<Adapter> {
  const path = await resolveFolder(folder);
  const [configPath, weightsPath] = [
    await resolveFile(path, adapterFileNames[0]),
    await resolveFile(path, adapterFileNames[1]),
  ];
  const config = decodeConfig(await readJson(configPath, configLimits));
  const pairs = pairTensors((await read(weightsPath)).values());
  const modules = new Map<string, LoraModule>();
  const file = await open(weightsPath, "r");
  const floats = async (entry: TensorEntry) => {
    invariant(isFloatType(entry.dtype), "the dtype was checked before");
    return decodeFloats(entry.dtype, await readTensorBytes(file, weightsPath, entry));
  };
  try {
    for (const [name, pair] of pairs) modules.set(name, await readModule(floats, config, name, pair));
  } finally {
    await file.close();
  }
  const { baseModel, rank, alpha, isRankStabilized, isTransposed } = config;
  const targetModules = config.targetModules ?? [...modules.keys()];
  const adapter = { baseModel, rank, alpha, isRankStabilized, isTransposed, targetModules, modules };
  checkAdapter(adapter);
  return adapter;
}

/**
 * Write an adapter as PEFT would, float32, into a new folder: all of it appears at once, or nothing.
 * @throws AdapterError `adapter-exists` if the folder holds anything, and as `checkAdapter`.
 */
export async function writeAdapter(folder: string, adapter: Adapter): Promise<void> {
  checkAdapter(adapter);
  await createFolder(folder, async (partial) => {
    await writeFile(join(partial, adapterFileNames[0]), encodeConfig(adapter));
    await writeSafetensors(join(partial, adapterFileNames[1]), tensorsOf(adapter));
  });
}

interface TensorPair {
  readonly a: TensorEntry;
  readonly b: TensorEntry;
}

/** A and B of each module, sizes checked. @throws AdapterError naming the tensor that is something else. */
function pairTensors(entries: Iterable<TensorEntry>): ReadonlyMap<string, TensorPair> {
  const halves = new Map<string, { A?: TensorEntry; B?: TensorEntry }>();
  let bytes = 0;
  for (const entry of entries) {
    const [, module = "", side] = tensorName.exec(entry.name) ?? [];
    if (side !== "A" && side !== "B")
      throw refuse(entry.name, "is no lora_A or lora_B weight of a linear layer");
    if (!isFloatType(entry.dtype)) throw refuse(entry.name, `dtype ${entry.dtype} is not supported`);
    if (entry.shape.length !== 2) throw refuse(entry.name, `has shape [${entry.shape}], a matrix is needed`);
    bytes += entry.bytes;
    halves.set(module, { ...halves.get(module), [side]: entry });
  }
  if (bytes > adapterBytesMax || halves.size > moduleCountMax) {
    const limits = `Max: ${adapterBytesMax} bytes, ${moduleCountMax} modules`;
    throw new AdapterError(
      "adapter-too-large",
      adapterFileNames[1],
      `${limits}. Given: ${bytes}, ${halves.size}`,
    );
  }
  return new Map([...halves].map(([module, { A, B }]) => [module, pairOf(module, A, B)]));
}

function pairOf(module: string, a: TensorEntry | undefined, b: TensorEntry | undefined): TensorPair {
  if (!a || !b) throw refuse(module, `lora_${a ? "B" : "A"} is missing`);
  if (a.shape[0] !== b.shape[1]) throw refuse(module, `A [${a.shape}] and B [${b.shape}] differ in rank`);
  return { a, b };
}

async function readModule(
  floats: (entry: TensorEntry) => Promise<Float32Array>,
  config: AdapterConfig,
  name: string,
  { a, b }: TensorPair,
): Promise<LoraModule> {
  const [rank = 0, inSize = 0] = a.shape;
  const expected = config.rankOf(name);
  if (rank !== expected) throw refuse(a.name, `has rank ${rank}, adapter_config.json says ${expected}`);
  return {
    rank,
    alpha: config.alphaOf(name),
    inSize,
    outSize: b.shape[0] ?? 0,
    a: await floats(a),
    b: await floats(b),
  };
}

function tensorsOf({ modules }: Adapter): TensorSource[] {
  const tensor = (name: string, shape: number[], values: Float32Array): TensorSource => ({
    name,
    dtype: "F32",
    shape,
    bytes: values.byteLength,
    read: () => encodeFloats("F32", values),
  });
  return [...modules].flatMap(([name, { rank, inSize, outSize, a, b }]) => [
    tensor(`base_model.model.${name}.lora_A.weight`, [rank, inSize], a),
    tensor(`base_model.model.${name}.lora_B.weight`, [outSize, rank], b),
  ]);
}

function refuse(tensor: string, reason: string): AdapterError {
  return new AdapterError("adapter-tensor-invalid", tensor, reason);
}
