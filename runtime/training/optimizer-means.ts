import { open } from "node:fs/promises";
import { ModelRuntimeError } from "#runtime/errors";
import { decodeFloats, encodeFloats } from "#runtime/weights/float-bytes";
import { read, type TensorEntry } from "#runtime/weights/safetensors";
import { writeSafetensors } from "#runtime/weights/safetensors-writer";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import { numbersOf } from "./moment.ts";
import type { TrainState } from "./trainer.ts";

/** AdamW's running means of the gradient and of its square, by parameter: `<module>.a` and `.b`. */
export type OptimizerMeans = ReadonlyMap<
  string,
  { readonly mean: Float32Array; readonly square: Float32Array }
>;

/** A copy of what the optimizer remembers. */
export function meansOf({ parameters }: TrainState): OptimizerMeans {
  return new Map(
    [...parameters].map(([name, { value, mean, square }]) => [
      name,
      { mean: numbersOf(mean, value.length), square: numbersOf(square, value.length) },
    ]),
  );
}

/** Write them as a safetensors file, `<parameter>.mean` and `.square` in float32: the same means make the same bytes. */
export function writeOptimizerMeans(path: string, means: OptimizerMeans): Promise<void> {
  const tensors = [...means].flatMap(([name, parts]) =>
    (["mean", "square"] as const).map((part) => ({
      name: `${name}.${part}`,
      dtype: "F32",
      shape: [parts[part].length],
      bytes: parts[part].byteLength,
      read: () => encodeFloats("F32", parts[part]),
    })),
  );
  return writeSafetensors(path, tensors);
}

/**
 * The means of these parameters from such a file, which may be a stranger's.
 * @throws OptimizerMeansError where one is missing, of another size, or no possible mean; WeightFileError.
 */
export async function readOptimizerMeans(
  path: string,
  sizes: ReadonlyMap<string, number>,
): Promise<OptimizerMeans> {
  const entries = await read(path).catch((cause: unknown) => {
    if (cause instanceof ModelRuntimeError) throw cause;
    throw new OptimizerMeansError(path, "cannot be read", cause);
  });
  const file = await open(path, "r");
  try {
    const numbers = async (name: string, size: number) => {
      const entry: TensorEntry | undefined = entries.get(name);
      if (entry?.dtype !== "F32" || entry.bytes !== size * 4)
        throw new OptimizerMeansError(path, `lacks ${name} of ${size} numbers in F32`);
      return decodeFloats("F32", await readTensorBytes(file, path, entry));
    };
    const means = new Map<string, { mean: Float32Array; square: Float32Array }>();
    for (const [name, size] of sizes) {
      const mean = await numbers(`${name}.mean`, size);
      const square = await numbers(`${name}.square`, size);
      if (!(mean.every(Number.isFinite) && square.every((x) => Number.isFinite(x) && x >= 0)))
        throw new OptimizerMeansError(path, `holds means of ${name} that no gradients have`);
      means.set(name, { mean, square });
    }
    return means;
  } finally {
    await file.close();
  }
}

/** A file of means that cannot be used. Code: `optimizer-invalid`. */
export class OptimizerMeansError extends ModelRuntimeError {
  constructor(path: string, reason: string, cause?: unknown) {
    super("optimizer-invalid", `Optimizer's means ${path}: the file ${reason}.`, { cause });
  }
}
