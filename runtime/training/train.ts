import { createHash } from "node:crypto";
import { excerpt, ModelRuntimeError } from "#runtime/errors";
import type { Adapter } from "#runtime/lora/adapter";
import { hashArtifact } from "#runtime/weights/model-files";
import { type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { type AdamW, adamWDefaults } from "./adamw.ts";
import { CheckpointError, type Progress, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { type Batch, checkExamples, type Example, packEpoch, packInOrder } from "./packing.ts";
import { learningRate, type Schedule } from "./schedule.ts";
import { openTrainer, type StepReport, type Trainer } from "./trainer.ts";

/** What decides the result: the same settings, examples and model give the same adapter, bit for bit on one kind of machine. */
export interface TrainSettings {
  readonly schedule: Schedule;
  readonly optimizer?: AdamW;
  /** Largest L2 norm of all gradients together, default 1. */
  readonly gradientNormMax?: number;
  /** Tokens of one row; no example may be longer. */
  readonly rowTokens: number;
  /** Rows of one run of the graph: memory grows with them. */
  readonly rowCount: number;
  /** Runs whose gradients make one update. */
  readonly runsPerStep: number;
  /** u64 of the order of examples. */
  readonly seed: bigint;
  /** Stop when this many evaluations in a row were no better than the best. Needs an evaluation set. */
  readonly patience?: number;
  /** Updates between evaluations, and between checkpoints. */
  readonly stepsPerEvaluation?: number;
}

export interface TrainOptions extends TrainSettings {
  readonly examples: readonly Example[];
  /** Never learned from. */
  readonly evaluationExamples?: readonly Example[];
  /** An existing folder: training continues from its checkpoint, and leaves one at each evaluation. */
  readonly checkpointFolder?: string;
  readonly onStep?: (report: StepReport & { readonly step: number; readonly learningRate: number }) => void;
  /** Ends training after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

export interface Training {
  readonly adapter: Adapter;
  /** Updates made, those before a resumed checkpoint included. */
  readonly steps: number;
  /** Mean loss of each step in nats per learned token. */
  readonly losses: readonly number[];
  readonly evaluations: readonly { readonly step: number; readonly loss: number }[];
  readonly finishReason: "steps" | "patience" | "aborted";
}

/**
 * Train an adapter on examples; `adapter` is where it starts. Blocks its thread while the graphs run: call it
 * in a worker of its own. A run that was stopped and resumed from its checkpoint gives the same losses and the
 * same adapter to the bit as one that was not.
 * @throws ExampleError, AdapterError, CheckpointError, NotFiniteError, and those of `readModelFolder`.
 */
export async function train(folder: string, adapter: Adapter, options: TrainOptions): Promise<Training> {
  checkSettings(options);
  const model = await readModelFolder(folder);
  const { examples, evaluationExamples = [], rowTokens } = options;
  checkExamples([...examples, ...evaluationExamples], rowTokens, model.config.vocabularySize);
  const { optimizer = adamWDefaults, gradientNormMax = 1 } = options;
  const trainer = await openTrainer(model, adapter, { optimizer, gradientNormMax });
  const fingerprint = await fingerprintOf(model, adapter, options);
  const progress = (await resume(trainer, options, fingerprint)) ?? {
    fingerprint,
    steps: 0,
    losses: [],
    evaluations: [],
  };
  const finishReason = await runSteps(trainer, options, progress);
  const { steps, losses, evaluations } = progress;
  return { adapter: trainer.adapter(), steps, losses, evaluations, finishReason };
}

function checkSettings(options: TrainOptions): void {
  const counts = {
    rowTokens: options.rowTokens,
    rowCount: options.rowCount,
    runsPerStep: options.runsPerStep,
    stepsMax: options.schedule.stepsMax,
    stepsPerEvaluation: options.stepsPerEvaluation ?? 1,
    patience: options.patience ?? 1,
    examples: options.examples.length,
  };
  for (const [field, given] of Object.entries(counts)) {
    if (!Number.isSafeInteger(given) || given < 1) throw new TrainSettingsError(field, given);
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
  progress.evaluations.push({ step: progress.steps, loss });
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

async function resume(
  trainer: Trainer,
  { checkpointFolder }: TrainOptions,
  fingerprint: string,
): Promise<Progress | null> {
  if (checkpointFolder === undefined) return null;
  const progress = await readCheckpoint(checkpointFolder, trainer.state, fingerprint);
  if (progress && progress.losses.length !== progress.steps) {
    throw new CheckpointError("checkpoint-invalid", checkpointFolder, "has not one loss per step");
  }
  return progress;
}

/** SHA-256 over all that decides the result: files, settings, examples, the adapter's start. */
async function fingerprintOf(model: ModelFolder, adapter: Adapter, options: TrainOptions): Promise<string> {
  const { examples, evaluationExamples, checkpointFolder, onStep, signal, seed, ...settings } = options;
  const hash = createHash("sha256");
  hash.update(await hashArtifact(model.files.folder));
  hash.update(JSON.stringify([{ ...settings, seed: String(seed) }, examples, evaluationExamples ?? []]));
  for (const [name, { rank, alpha, a, b }] of adapter.modules) {
    hash.update(JSON.stringify([name, rank, alpha, adapter.isRankStabilized]));
    for (const part of [a, b]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return hash.digest("hex");
}

/** A setting outside its range. `field` names it. */
export class TrainSettingsError extends ModelRuntimeError {
  readonly field: string;

  constructor(field: string, given: unknown) {
    super("request-invalid", `${field}: allowed is a whole number from 1. Given: ${excerpt(given)}.`);
    this.field = field;
  }
}
