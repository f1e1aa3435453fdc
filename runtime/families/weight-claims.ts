import { type Decoder, linearsOf } from "#runtime/decoder/description";
import { invariant, ModelRuntimeError } from "#runtime/errors";
import { type ElementType, external, type Graph, share, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import type { ModelFolder } from "#runtime/weights/model-folder";
import type { StoredMatrix } from "#runtime/weights/quantised-tensors";

/** Shapes a family expects, by published tensor name. */
export type ExpectedTensors = ReadonlyMap<string, readonly number[]>;

const weightTypes: Readonly<Record<string, ElementType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/**
 * Check that a folder holds exactly the tensors its family expects, with their shapes and a usable dtype.
 * @throws WeightMismatchError naming the first tensor that is missing, unclaimed or of the wrong shape or dtype.
 */
export function claimTensors(folder: ModelFolder, expected: ExpectedTensors): void {
  const matrices = new Set(linearsOf(folder.config).map(({ name }) => `${name}.weight`));
  for (const [name, shape] of expected) {
    const stored = matrices.has(name) && quantisedMatrix(folder, name);
    if (stored) {
      checkMatrix(folder.config, name, stored);
      continue;
    }
    const entry = find(folder.config, folder.tensors, name);
    if (!entry) throw new WeightMismatchError(name, "is missing");
    if (entry.shape.join() !== shape.join()) {
      throw new WeightMismatchError(name, `has shape [${entry.shape}], the config needs [${shape}]`);
    }
    if (!Object.hasOwn(weightTypes, entry.dtype)) {
      throw new WeightMismatchError(name, `has dtype ${entry.dtype}; F32, F16 and BF16 are supported`);
    }
  }
  const { omittedPrefix, unusedTensors } = folder.config;
  const unused = unusedTensors.map((source) => new RegExp(source));
  const isClaimed = (name: string) => expected.has(name) || expected.has(`${omittedPrefix ?? ""}${name}`);
  for (const name of [...folder.tensors.keys(), ...folder.quantised.keys()]) {
    if (isClaimed(name) || unused.some((pattern) => pattern.test(name))) continue;
    throw new WeightMismatchError(name, "is not used by this model family");
  }
}

/** A weight as a graph tensor in float32, read from the folder's file where it lies; narrower types are widened. */
export function weight(graph: Graph, folder: ModelFolder, name: string): Tensor {
  const entry = find(folder.config, folder.tensors, name);
  const type = entry && weightTypes[entry.dtype];
  invariant(entry && type, `weight ${name} was not claimed`);
  const range = { file: entry.file, offset: entry.offset, bytes: entry.bytes };
  return share(graph, `weight ${name}`, () =>
    op.cast(graph, external(graph, { name, type, shape: entry.shape }, range), "float32"),
  );
}

/** Where the blocks of a matrix lie, if the folder stores it quantised. */
export function quantisedMatrix({ config, quantised }: ModelFolder, name: string): StoredMatrix | undefined {
  return find(config, quantised, name);
}

/** An entry by its full name, also in files of the bare model, whose names lack the family's prefix. */
function find<Entry>(
  { omittedPrefix: prefix }: Decoder,
  entries: ReadonlyMap<string, Entry>,
  name: string,
): Entry | undefined {
  const bare = prefix !== null && name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return entries.get(name) ?? entries.get(bare);
}

function checkMatrix(config: Decoder, name: string, { outSize, inSize }: StoredMatrix): void {
  const linear = linearsOf(config).find((each) => `${each.name}.weight` === name);
  if (linear?.outSize === outSize && linear.inSize === inSize) return;
  const needed = `[${linear?.outSize},${linear?.inSize}]`;
  throw new WeightMismatchError(name, `is quantised from [${outSize},${inSize}], the config needs ${needed}`);
}

/** Weights that do not match their config. `tensor` names the first at fault. */
export class WeightMismatchError extends ModelRuntimeError {
  readonly tensor: string;

  constructor(tensor: string, reason: string) {
    super("weight-mismatch", `Tensor ${tensor} ${reason}.`);
    this.tensor = tensor;
  }
}
