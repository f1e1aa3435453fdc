import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { takeDevice } from "#runtime/inference/device";
import { type ExecutionProfile, profileHere } from "#runtime/inference/profile";
import type { Adapter } from "#runtime/lora/adapter";
import { type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { adamWDefaults } from "./adamw.ts";
import { CheckpointError, type Progress, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { meansOf, type OptimizerMeans } from "./optimizer-means.ts";
import { type Batch, checkExamples, type Example, packEpoch, packInOrder } from "./packing.ts";
import { checkRun, type RunSize, runBytesMaxDefault } from "./run-memory.ts";
import { learningRate } from "./schedule.ts";
import { checkSettings, type TrainSettings, TrainSettingsError } from "./settings.ts";
import { trainSession } from "./train-graph.ts";
import { openTrainer, type StepReport, type Trainer } from "./trainer.ts";

export interface TrainOptions extends TrainSettings {
  readonly examples: readonly Example[];
  /** Never learned from. */
  readonly evaluationExamples?: readonly Example[];
  /** An existing folder: training continues from its checkpoint, and leaves one at each evaluation. */
  readonly checkpointFolder?: string;
  readonly onStep?: (report: StepReport & { readonly step: number; readonly learningRate: number }) => void;
  readonly onEvaluation?: (evaluation: Evaluation) => void;
  /** Updates, counted from 1, after which `onWaypoint` is told, and waited for; again where a resumed training passes them again. */
  readonly waypointSteps?: readonly number[];
  readonly onWaypoint?: (waypoint: Waypoint) => Promise<void>;
  /** Most bytes that one run of the graph may take beside the weights, as estimated before. Default half of the process's memory. */
  readonly runBytesMax?: number;
  /** Ends training after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Mean loss on the evaluation examples after a number of updates, in nats per learned token. */
export interface Evaluation {
  readonly step: number;
  readonly loss: number;
}

/** A training on its way: copies of the adapter and of the optimizer's means after a number of updates. */
export interface Waypoint {
  readonly step: number;
  readonly adapter: Adapter;
  readonly means: OptimizerMeans;
}

export interface Training {
  /** With `patience`, of the lowest evaluation loss, of equal ones the first; else as the last update left it. */
  readonly adapter: Adapter;
  /** Updates that `adapter` has had: `steps` without `patience`. */
  readonly adapterSteps: number;
  /** Updates made, those before a resumed checkpoint included. */
  readonly steps: number;
  /** Mean loss of each step in nats per learned token. */
  readonly losses: readonly number[];
  readonly evaluations: readonly Evaluation[];
  readonly finishReason: "steps" | "patience" | "aborted";
  /** What computed: graphs, weights and machine. */
  readonly profile: ExecutionProfile;
}

/**
 * Train an adapter on examples; `adapter` is where it starts. Blocks its thread while the graphs run: call it
 * in a worker of its own. A run that was stopped and resumed from its checkpoint gives the same losses and the
 * same adapter to the bit as one that was not.
 * @throws TrainSettingsError, MemoryLimitError, DeviceBusyError, DeviceUnavailableError, ExampleError, AdapterError, CheckpointError, NotFiniteError, and those of `readModelFolder`.
 */
export async function train(folder: string, adapter: Adapter, options: TrainOptions): Promise<Training> {
  checkSettings(options);
  await checkCallers(options);
  const model = await readModelFolder(folder);
  const { examples, evaluationExamples = [], rowTokens } = options;
  const tokensMax = Math.min(rowTokens, model.config.contextTokensMax);
  const { vocabularySize } = model.config;
  checkExamples(examples, tokensMax, vocabularySize);
  checkExamples(evaluationExamples, tokensMax, vocabularySize, "evaluationExamples");
  checkRun(model.config, largestRun(options), options.runBytesMax ?? runBytesMaxDefault());
  const giveBack = takeDevice(options.device ?? "cpu");
  try {
    return await trainOn(model, adapter, options);
  } finally {
    giveBack();
  }
}

/** What whoever calls gives to be told by, and where to leave a checkpoint: known before the first step, not after. */
async function checkCallers(options: TrainOptions): Promise<void> {
  const check = (holds: boolean, field: string, allowed: string, given: unknown) => {
    if (!holds) throw new TrainSettingsError(field, allowed, given);
  };
  const { checkpointFolder, waypointSteps = [], signal, onStep, onEvaluation, onWaypoint } = options;
  for (const [field, told] of Object.entries({ onStep, onEvaluation, onWaypoint })) {
    check(told === undefined || typeof told === "function", field, "a function", told);
  }
  check(signal === undefined || signal instanceof AbortSignal, "signal", "an AbortSignal", signal);
  const areSteps = Array.isArray(waypointSteps) && waypointSteps.every(Number.isSafeInteger);
  check(areSteps, "waypointSteps", "a list of counts of updates", waypointSteps);
  if (checkpointFolder === undefined) return;
  const isFolder =
    typeof checkpointFolder === "string" &&
    (await stat(checkpointFolder).then(
      (found) => found.isDirectory(),
      () => false,
    ));
  check(isFolder, "checkpointFolder", "an existing folder", checkpointFolder);
}

/** No batch of any epoch is larger: an example adds to what is learned in a row at most by its own share of it. */
function largestRun({ examples, evaluationExamples = [], rowTokens, rowCount }: TrainOptions): RunSize {
  const rows = Math.min(rowCount, Math.max(examples.length, evaluationExamples.length));
  let share = 0;
  for (const { tokenIds, answerFrom } of [...examples, ...evaluationExamples]) {
    share = Math.max(share, 1 - answerFrom / tokenIds.length);
  }
  return { rows, tokens: rowTokens, learned: Math.ceil(rows * rowTokens * share) };
}

async function trainOn(model: ModelFolder, adapter: Adapter, options: TrainOptions): Promise<Training> {
  const { optimizer = adamWDefaults, gradientNormMax = 1, device = "cpu", rowTokens } = options;
  const trainer = await openTrainer(model, adapter, { optimizer, gradientNormMax, device });
  try {
    const parts = { ...trainSession, graphs: trainer.graphs, device, timeBlockTokens: rowTokens };
    const { profile, artifactHash } = await profileHere(model, parts);
    const progress = await begin(trainer, options, () =>
      fingerprintOf([profile.hash, artifactHash], adapter, options),
    );
    const finishReason = await runSteps(trainer, options, progress);
    const { steps, losses, evaluations } = progress;
    const { best } = trainer.state;
    const chosen = best ? trainer.adapterOf(best.values) : trainer.adapter();
    return {
      ...{ adapter: chosen, adapterSteps: best?.steps ?? steps, steps },
      ...{ losses, evaluations, finishReason, profile },
    };
  } finally {
    await trainer.close();
  }
}

async function runSteps(
  trainer: Trainer,
  options: TrainOptions,
  progress: Progress,
): Promise<Training["finishReason"]> {
  const { schedule, stepsPerEvaluation = 50, signal, onStep } = options;
  const batchesOf = stepBatches(options);
  while (progress.steps < schedule.stepsMax) {
    if (isPatienceOver(progress, options.patience)) return "patience";
    if (signal?.aborted) {
      await save(trainer, options, progress);
      return "aborted";
    }
    const step = progress.steps;
    const rate = learningRate(schedule, step);
    const report = await trainer.step(batchesOf(step), rate);
    progress.steps += 1;
    progress.losses.push(report.loss);
    onStep?.({ ...report, step, learningRate: rate });
    if (options.waypointSteps?.includes(progress.steps))
      await options.onWaypoint?.({
        step: progress.steps,
        adapter: trainer.adapter(),
        means: meansOf(trainer.state),
      });
    if (progress.steps % stepsPerEvaluation > 0 && progress.steps < schedule.stepsMax) continue;
    await evaluate(trainer, options, progress);
    await save(trainer, options, progress);
  }
  return "steps";
}

/** Batches of each step: epochs follow each other, and their order is a function of seed and epoch. */
function stepBatches(options: TrainOptions): (step: number) => Batch[] {
  const { examples, seed, runsPerStep } = options;
  const epochs = new Map<number, Batch[]>();
  const perEpoch = (epoch: number): Batch[] => {
    const known = epochs.get(epoch) ?? packEpoch(examples, options, seed, epoch);
    if (!epochs.has(epoch)) epochs.clear();
    epochs.set(epoch, known);
    return known;
  };
  let [epoch, start] = [0, 0];
  return (step) => {
    const first = step * runsPerStep;
    return Array.from({ length: runsPerStep }, (_, index) => {
      while (first + index >= start + perEpoch(epoch).length) {
        start += perEpoch(epoch).length;
        epoch += 1;
      }
      return perEpoch(epoch)[first + index - start]!;
    });
  };
}

async function evaluate(trainer: Trainer, options: TrainOptions, progress: Progress): Promise<void> {
  const { evaluationExamples = [] } = options;
  if (evaluationExamples.length === 0) return;
  const loss = await trainer.evaluate(packInOrder(evaluationExamples, options));
  const isBest = progress.evaluations.every((before) => loss < before.loss);
  if (isBest && options.patience !== undefined) trainer.keepBest();
  progress.evaluations.push({ step: progress.steps, loss });
  options.onEvaluation?.({ step: progress.steps, loss });
}

/** Whether the last `patience` evaluations were no better than the best before them. */
function isPatienceOver({ evaluations }: Progress, patience: number | undefined): boolean {
  if (patience === undefined || evaluations.length <= patience) return false;
  const losses = evaluations.map(({ loss }) => loss);
  return Math.min(...losses.slice(-patience)) >= Math.min(...losses.slice(0, -patience));
}

async function save(trainer: Trainer, options: TrainOptions, progress: Progress): Promise<void> {
  if (options.checkpointFolder === undefined) return;
  await writeCheckpoint(options.checkpointFolder, trainer.state, progress);
}

/** Progress as the checkpoint left it, or of nothing yet. Only a checkpoint needs the fingerprint. */
async function begin(
  trainer: Trainer,
  { checkpointFolder }: TrainOptions,
  makeFingerprint: () => string,
): Promise<Progress> {
  const fresh = { fingerprint: "", steps: 0, losses: [], evaluations: [] };
  if (checkpointFolder === undefined) return fresh;
  const fingerprint = makeFingerprint();
  const progress = await readCheckpoint(checkpointFolder, trainer.state, fingerprint);
  if (progress && progress.losses.length !== progress.steps) {
    throw new CheckpointError("checkpoint-invalid", checkpointFolder, "has not one loss per step");
  }
  return progress ?? { ...fresh, fingerprint };
}

/** SHA-256 over all that decides the result: profile and files, settings, examples, the adapter's start. */
function fingerprintOf(computing: readonly string[], adapter: Adapter, options: TrainOptions): string {
  const { examples, evaluationExamples = [], checkpointFolder, onStep, onEvaluation, ...more } = options;
  const { signal, seed, waypointSteps, onWaypoint, runBytesMax, ...settings } = more;
  const hash = createHash("sha256");
  hash.update(JSON.stringify([...computing, { ...settings, seed: String(seed) }]));
  for (const list of [examples, evaluationExamples]) {
    hash.update(JSON.stringify(list.length));
    // One at a time: all of them may be longer than any string.
    for (const { tokenIds, answerFrom } of list) hash.update(JSON.stringify([answerFrom, tokenIds]));
  }
  for (const [name, { rank, alpha, a, b }] of adapter.modules) {
    hash.update(JSON.stringify([name, rank, alpha, adapter.isRankStabilized]));
    for (const part of [a, b]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return hash.digest("hex");
}
