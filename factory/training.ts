import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Hex } from "viem";
import { type Adapter, type Example, hashAdapter, writeAdapter } from "#runtime/index";
import { invariant, PipelineError } from "#schema/errors";
import * as settings from "#settlement/blob/training/settings";

/** What the thread is given. `stop` is one int32, not zero once it shall end. */
export type Lesson = {
  folder: string;
  checkpointFolder: string;
  /** Where a state on the way is left, each in a folder named by its step. */
  waypointFolder: string;
  settings: settings.Settings;
  /** What the adapter's configuration names as its base. */
  base: string;
  train: readonly Example[];
  gate: readonly Example[];
  /** How often it is evaluated, and a checkpoint kept. */
  evaluations: number;
  stop: SharedArrayBuffer;
};

export type WorkerMessage =
  | { kind: "step"; step: number; stepsMax: number; loss: number }
  | { kind: "evaluation"; step: number; loss: number }
  | { kind: "ended"; adapter: Adapter; losses: readonly number[]; isWhole: boolean; profileJson: string }
  | { kind: "failed"; code: string; reason: string };

/** Where a training stands; losses in nats per learned token, `gateLoss` null before the first evaluation. */
export type Progress = {
  step: number;
  stepsMax: number;
  loss: number;
  gateLoss: number | null;
  secondsLeft: number;
};

export type Trained = {
  adapterFolder: string;
  adapterHash: Hex;
  /** States on the way, ascending. */
  waypoints: readonly KeptWaypoint[];
  steps: number;
  loss: number;
};

/** A PEFT folder of the adapter as it was after `step` updates, with the optimizer's means beside. */
export type KeptWaypoint = { step: number; folder: string; adapterHash: Hex };

type Options = {
  /** Of the training: holds checkpoint and adapter. */
  folder: string;
  baseFolder: string;
  settings: settings.Settings;
  base: string;
  train: readonly Example[];
  gate: readonly Example[];
  onProgress: (progress: Progress) => void;
  signal: AbortSignal;
};

/** Evaluations of one training; a crash costs what was learned since the last. */
const evaluations = 8;

/**
 * Train in a thread of its own and leave a PEFT folder, and beside it the execution profile (profile.json). Goes on from the last checkpoint in `folder`, to the same bytes as
 * a training that was never stopped.
 * @throws TrainingStoppedError once `signal` aborts, with a checkpoint; TrainingFailedError with the runtime's reason.
 */
export async function runTraining(options: Options): Promise<Trained> {
  const { folder, signal } = options;
  const checkpointFolder = join(folder, "checkpoint");
  await mkdir(checkpointFolder, { recursive: true });
  const { adapter, losses, isWhole, profileJson } = await learn(options, checkpointFolder);
  if (!isWhole || signal.aborted) throw new TrainingStoppedError();
  const adapterFolder = join(folder, "adapter");
  await rm(adapterFolder, { recursive: true, force: true });
  await writeAdapter(adapterFolder, adapter);
  await writeWhole(join(folder, "profile.json"), profileJson);
  const adapterHash = await hashAdapter(adapterFolder);
  const waypoints = await Promise.all(
    settings.waypointSteps(options.settings).map(async (step) => {
      const waypoint = join(waypointFolderOf(folder), `${step}`);
      return { step, folder: waypoint, adapterHash: await hashAdapter(waypoint) };
    }),
  );
  return { adapterFolder, adapterHash, waypoints, steps: losses.length, loss: losses.at(-1)! };
}

/** Beside an adapter's file in a waypoint's folder. */
export const optimizerFile = "optimizer.safetensors";

function waypointFolderOf(folder: string): string {
  return join(folder, "waypoints");
}

/** Put a file in place whole or not at all. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.partial`, content, { flush: true });
  await rename(`${path}.partial`, path);
}

type Ended = Extract<WorkerMessage, { kind: "ended" }>;

async function learn(options: Options, checkpointFolder: string): Promise<Ended> {
  const { folder, baseFolder, settings: chosen, base, train, gate, onProgress, signal } = options;
  const stop = new SharedArrayBuffer(4);
  const lesson: Lesson = {
    ...{ folder: baseFolder, checkpointFolder, waypointFolder: waypointFolderOf(folder) },
    ...{ settings: chosen, base, train, gate, evaluations, stop },
  };
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: lesson });
  const abort = () => Atomics.store(new Int32Array(stop), 0, 1);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  const report = reporter(onProgress);
  try {
    return await new Promise<Ended>((resolve, reject) => {
      worker.on("message", (message: WorkerMessage) => {
        if (message.kind === "ended") resolve(message);
        else if (message.kind === "failed") reject(new TrainingFailedError(message.code, message.reason));
        else report(message);
      });
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new TrainingFailedError("worker-crashed", `exit code ${code}`)));
    });
  } finally {
    signal.removeEventListener("abort", abort);
    await worker.terminate();
  }
}

/** Time left from the pace since this process began: steps before a checkpoint cost it nothing. */
function reporter(onProgress: Options["onProgress"]) {
  const startedMs = performance.now();
  let first: number | null = null;
  let gateLoss: number | null = null;
  let last: Omit<Progress, "gateLoss"> | null = null;
  return (message: Extract<WorkerMessage, { kind: "step" | "evaluation" }>) => {
    if (message.kind === "evaluation") gateLoss = message.loss;
    else {
      const { step, stepsMax, loss } = message;
      first ??= step - 1;
      const secondsPerStep = (performance.now() - startedMs) / 1_000 / (step - first);
      last = { step, stepsMax, loss, secondsLeft: (stepsMax - step) * secondsPerStep };
    }
    invariant(last !== null || message.kind === "evaluation", "a step comes before its report");
    if (last !== null) onProgress({ ...last, gateLoss });
  };
}

export class TrainingStoppedError extends PipelineError {
  override readonly name = "TrainingStoppedError";
  constructor() {
    super("The training was stopped. Its checkpoint is kept: the same command goes on from there.", {
      code: "training_stopped",
      retryable: true,
    });
  }
}

export class TrainingFailedError extends PipelineError {
  override readonly name = "TrainingFailedError";
  constructor(code: string, reason: string) {
    const remedies: Record<string, string> = {
      "not-finite": "Lower --peak, or train fewer --steps.",
      "adapter-mismatch": "Name matrices of the base model with --modules, as q_proj,v_proj.",
      "checkpoint-mismatch": "The checkpoint is another training's: add --fresh to begin anew.",
      "checkpoint-invalid": "Add --fresh to begin anew.",
    };
    const remedy = remedies[code];
    super(`The training failed: ${reason}${remedy === undefined ? "" : ` ${remedy}`}`, {
      code,
      retryable: false,
    });
  }
}
