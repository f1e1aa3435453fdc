import { stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { Piscina } from "piscina";
import type { Hex } from "viem";
import { hashArtifact } from "#runtime/index";
import { findModelFiles } from "#runtime/weights/model-files";
import { invariant, PipelineError } from "#schema/errors";
import type { AdapterFiles } from "./adapter/files.ts";
import type { AdapterResult, AdapterTask } from "./adapter/tasks.ts";
import { poolQueueMax } from "./constants.ts";
import { poolSize } from "./pool-size.ts";

/**
 * What a worker is asked. `contexts` are the passages of each prompt, in the order of the values wanted; `adapter` is
 * what the model follows; without one, or with null, it is the base alone.
 */
export type PoolTask =
  | { kind: "describe" }
  | {
      kind: "values";
      adapter?: AdapterFiles | null;
      question: string;
      contexts: readonly (readonly string[])[];
      answerTokenIds: readonly number[];
    }
  | AdapterTask;

export type TaskResult =
  | AdapterResult
  | { ok: true; kind: "describe"; artifactHash: Hex; profile: string }
  | { ok: true; kind: "values"; nats: number[]; answer: string }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** Log-probabilities of the answer under each context, in nats, and the text of its tokens, white space folded. */
export type Values =
  | { ok: true; nats: number[]; answer: string }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** Threads that replay answers. Close it: its threads keep the process alive. */
export type Pool = AsyncDisposable & {
  artifactHash: Hex;
  threads: number;
  /** @throws ModelChangedError where the folder no longer holds the model that was opened. */
  assertSameFiles: () => Promise<void>;
  /** The runtime's execution profile as canonical JSON. */
  profile: string;
  values: (task: Omit<Extract<PoolTask, { kind: "values" }>, "kind">) => Promise<Values>;
  /** @throws PoolTaskError with the code of the runtime or the store. */
  run: <T extends AdapterTask>(task: T) => Promise<Extract<AdapterResult, { kind: T["kind"] }>>;
};

/** What the threads open. Only matrices that `adaptableModules` name can be changed by an adapter. */
export type PoolOptions = { folder: string; workers: number | null; adaptableModules: readonly string[] };

/**
 * Open threads with the model of a folder: `workers`, or as many as cores and memory allow.
 * @throws what opening the model throws; ModelChangedError where its files change meanwhile.
 */
export async function openPool({ folder, workers, adaptableModules }: PoolOptions): Promise<Pool> {
  const files = await readStamps(folder);
  const threads = workers ?? poolSize({ ...machine(), modelBytes: bytesOf(files) });
  const piscina = new Piscina({
    filename: new URL("./worker.ts", import.meta.url).href,
    workerData: { folder, adaptableModules },
    minThreads: threads,
    maxThreads: threads,
    maxQueue: poolQueueMax,
    // The model's own thread talks to ours by events: do not block the loop between tasks.
    atomics: "disabled",
  });
  const run = (task: PoolTask): Promise<TaskResult> => piscina.run(task);
  try {
    const described = await openThreads(() => run({ kind: "describe" }), threads);
    invariant(described.ok && described.kind === "describe", "a pool describes itself");
    const { artifactHash, profile } = described;
    const assertSameFiles = fileGuard(folder, artifactHash, files);
    await assertSameFiles();
    return {
      artifactHash,
      profile,
      threads,
      assertSameFiles,
      values: async (task) => {
        const result = await run({ kind: "values", ...task });
        if (!result.ok) return result;
        invariant(
          result.kind === "values" && result.nats.length === task.contexts.length,
          "one value per context",
        );
        return result;
      },
      run: async <T extends AdapterTask>(task: T) => {
        const result = await run(task);
        if (!result.ok) throw new PoolTaskError(result.code, result.reason, result.retryable);
        invariant(result.kind === task.kind, "a result of the kind that was asked for");
        return result as Extract<AdapterResult, { kind: T["kind"] }>;
      },
      [Symbol.asyncDispose]: () => piscina.destroy(),
    };
  } catch (error) {
    await piscina.destroy();
    throw error;
  }
}

/**
 * What the first thread says once each has opened the model or failed to: a thread must not be ended while it opens one,
 * for ONNX Runtime then ends the process. The threads are idle, and each takes one of the questions.
 */
async function openThreads<T>(describe: () => Promise<T>, threads: number): Promise<T> {
  const answers = await Promise.allSettled(Array.from({ length: threads }, describe));
  const failed = answers.find((answer) => answer.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return (answers[0] as PromiseFulfilledResult<T>).value;
}

function machine() {
  return { cores: availableParallelism(), memoryBytes: totalmem() };
}

/** What tells that a file is still the same without reading it. */
type Stamp = { name: string; size: number; modifiedMs: number; inode: number };

async function readStamps(folder: string): Promise<Stamp[]> {
  const { paths } = await findModelFiles(folder);
  return Promise.all(
    [...paths].map(async ([name, path]) => {
      const { size, mtimeMs, ino } = await stat(path);
      return { name, size, modifiedMs: mtimeMs, inode: ino };
    }),
  );
}

function bytesOf(files: readonly Stamp[]): number {
  return files.reduce((bytes, { size }) => bytes + size, 0);
}

/**
 * Weights are read when threads open, and may be mapped: a file that is replaced meanwhile must not go unseen, in memory or
 * at the next start of a thread. Only files whose stamps changed are hashed again.
 */
function fileGuard(folder: string, artifactHash: Hex, opened: readonly Stamp[]): () => Promise<void> {
  let known = JSON.stringify(opened);
  return async () => {
    const now = JSON.stringify(await readStamps(folder));
    if (now === known) return;
    const found = await hashArtifact(folder);
    if (found !== artifactHash) throw new ModelChangedError(artifactHash, found);
    known = now;
  };
}

export class ModelChangedError extends PipelineError {
  override readonly name = "ModelChangedError";
  constructor(opened: Hex, found: Hex) {
    super(`the model's files changed under the engine. Opened: ${opened}. Found: ${found}. Start it anew.`, {
      code: "model_changed",
      retryable: true,
    });
  }
}

/** A task about an adapter that failed in its thread, with the code it had there. */
export class PoolTaskError extends PipelineError {
  override readonly name = "PoolTaskError";
  constructor(code: string, reason: string, retryable: boolean) {
    super(reason, { code, retryable });
  }
}
