import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { ModelRuntimeError } from "#runtime/errors";
import { decodeFloats, encodeFloats } from "#runtime/weights/float-bytes";
import { read } from "#runtime/weights/safetensors";
import { writeSafetensors } from "#runtime/weights/safetensors-writer";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import type { Moment } from "./moment.ts";
import type { TrainState } from "./trainer.ts";

/** Where training stands, besides its parameters. Small enough to be read by eye. */
const schema = z.object({
  /** What is trained on what: resuming with other settings, examples or weights is refused. */
  fingerprint: z.string(),
  steps: z.int().min(0),
  /** Losses so far, one per step, in nats per token. */
  losses: z.array(z.number()),
  evaluations: z.array(z.object({ step: z.int(), loss: z.number() })),
  /** Updates that the best parameters had, which the file holds too; null where none are kept. */
  bestSteps: z.int().min(0).nullable(),
  /** File beside this one with the value and the two running means of every parameter, and its SHA-256 in hex. */
  tensors: z.string().regex(/^state-\d+\.safetensors$/),
  tensorsHash: z.string(),
});
export type Progress = Omit<z.infer<typeof schema>, "tensors" | "tensorsHash" | "bestSteps">;

/** Largest checkpoint.json: a loss takes some 20 bytes, and there is one a step. */
const fileBytesMax = 256 * 1024 * 1024;

const fileName = "checkpoint.json";

type Part = [name: string, values: Float32Array | Uint8Array];

/** Everything that the file holds of a state, by its name there. */
function partsOf({ parameters, best }: TrainState): Part[] {
  const ofMoment = (moment: Moment, name: string) =>
    Object.entries(moment.arrays).map(([part, values]): Part => [`${name}.${part}`, values]);
  const ofParameters = [...parameters].flatMap(([name, { value, mean, square }]): Part[] => [
    [`${name}.value`, value],
    ...ofMoment(mean, `${name}.mean`),
    ...ofMoment(square, `${name}.square`),
  ]);
  return [
    ...ofParameters,
    ...[...(best?.values ?? [])].map(([name, values]): Part => [`${name}.best`, values]),
  ];
}

const dtypeOf = (values: Float32Array | Uint8Array) => (values instanceof Float32Array ? "F32" : "U8");

/**
 * Write a checkpoint into a folder that exists. The tensors come first, under a name of their step, then
 * checkpoint.json replaces the one before in one move: a crash leaves the older or the newer, whole.
 */
export async function writeCheckpoint(folder: string, state: TrainState, progress: Progress): Promise<void> {
  const before = await readProgress(folder);
  const tensors = `state-${state.steps}.safetensors`;
  const sources = partsOf(state).map(([name, values]) => ({
    name,
    dtype: dtypeOf(values),
    shape: [values.length],
    bytes: values.byteLength,
    read: () => (values instanceof Float32Array ? encodeFloats("F32", values) : values),
  }));
  await writeSafetensors(join(folder, tensors), sources);
  const tensorsHash = await hashOf(join(folder, tensors));
  const partial = join(folder, `.${fileName}`);
  const bestSteps = state.best?.steps ?? null;
  await writeFile(partial, JSON.stringify({ ...progress, bestSteps, tensors, tensorsHash }), { flush: true });
  await rename(partial, join(folder, fileName));
  if (before && before.tensors !== tensors) await rm(join(folder, before.tensors), { force: true });
}

/**
 * Put a checkpoint's parameters into `state` and return its progress; null if the folder has none.
 * @throws CheckpointError if it is damaged or of another training.
 */
export async function readCheckpoint(
  folder: string,
  state: TrainState,
  fingerprint: string,
): Promise<Progress | null> {
  const found = await readProgress(folder);
  if (!found) return null;
  const { tensors, tensorsHash, bestSteps, ...progress } = found;
  if (progress.fingerprint !== fingerprint) {
    throw new CheckpointError("checkpoint-mismatch", folder, "is of other settings, examples or weights");
  }
  const path = join(folder, tensors);
  const given = await hashOf(path).catch((cause: unknown) => {
    throw new CheckpointError("checkpoint-invalid", folder, `lacks ${tensors}`, cause);
  });
  if (given !== tensorsHash) {
    throw new CheckpointError(
      "checkpoint-invalid",
      folder,
      `has other bytes in ${tensors} than were written`,
    );
  }
  const entries = await read(path);
  const empty = [...state.parameters].map(
    ([name, { value }]) => [name, new Float32Array(value.length)] as const,
  );
  state.best = bestSteps === null ? null : { steps: bestSteps, values: new Map(empty) };
  const file = await open(path, "r");
  try {
    for (const [name, values] of partsOf(state)) {
      const entry = entries.get(name);
      if (entry?.dtype !== dtypeOf(values) || entry.bytes !== values.byteLength) {
        throw new CheckpointError("checkpoint-invalid", folder, `lacks ${name} of the right size`);
      }
      const bytes = await readTensorBytes(file, path, entry);
      values.set(values instanceof Float32Array ? decodeFloats("F32", bytes) : bytes);
    }
  } finally {
    await file.close();
  }
  state.steps = progress.steps;
  return progress;
}

/** SHA-256 of a file, in hex. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function readProgress(folder: string): Promise<z.infer<typeof schema> | null> {
  const path = join(folder, fileName);
  try {
    if ((await stat(path)).size > fileBytesMax) {
      throw new CheckpointError(
        "checkpoint-invalid",
        folder,
        `${fileName} is larger than ${fileBytesMax} bytes`,
      );
    }
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
    throw new CheckpointError("checkpoint-invalid", folder, `${fileName} is damaged`, cause);
  }
}

/** A checkpoint that cannot be resumed from. Codes: `checkpoint-invalid`, `checkpoint-mismatch`. */
export class CheckpointError extends ModelRuntimeError {
  constructor(code: string, folder: string, reason: string, cause?: unknown) {
    super(code, `Checkpoint ${folder} ${reason}.`, { cause });
  }
}
