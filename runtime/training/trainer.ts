import { type AdaptedModule, findTargets, type Targets } from "#runtime/decoder/adapted";
import { expectedTensors } from "#runtime/decoder/description";
import { invariant, NotFiniteError } from "#runtime/errors";
import { claimTensors } from "#runtime/families/weight-claims";
import type { Device } from "#runtime/inference/device";
import { floats, integers, type OpenGraph, openGraph, type Run } from "#runtime/inference/session";
import { type Adapter, AdapterError, checkAdapter, scaleOf } from "#runtime/lora/adapter";
import { encode } from "#runtime/onnx/model";
import { locate, type ModelFolder } from "#runtime/weights/model-folder";
import { type AdamW, fresh, type Parameter, update } from "./adamw.ts";
import type { Batch } from "./packing.ts";
import { evaluationGraph, trainGraph, trainSession } from "./train-graph.ts";

/** Parameters by graph input, `<module>.a` and `<module>.b`, and how often they were updated. */
export interface TrainState {
  steps: number;
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** Copies of the parameters where they were best, and the updates they had then; null where none were kept. */
  best: { readonly steps: number; readonly values: ReadonlyMap<string, Float32Array> } | null;
}

/** What one update did. Loss in nats per learned token, before it; the norm before clipping. */
export interface StepReport {
  readonly loss: number;
  readonly gradientNorm: number;
}

export interface Trainer {
  readonly state: TrainState;
  /** The graphs as they are wherever the folder lies, for the execution profile. */
  readonly graphs: { readonly train: Uint8Array; readonly evaluation: Uint8Array };
  /**
   * One update from the gradients of all batches together: the mean over their learned tokens, clipped to
   * `gradientNormMax` in L2 over all parameters. @throws NotFiniteError, and changes nothing, if they diverged.
   */
  step(batches: readonly Batch[], learningRate: number): Promise<StepReport>;
  /** Mean loss over the learned tokens, in nats. */
  evaluate(batches: readonly Batch[]): Promise<number>;
  /** A copy of the adapter as it is now. */
  adapter(): Adapter;
  /** The adapter with these values of its parameters, not copied. */
  adapterOf(values: ReadonlyMap<string, Float32Array>): Adapter;
  /** Put a copy of the parameters as they are now into `state.best`. */
  keepBest(): void;
  /** Give the memory of its graphs back; it takes no steps afterwards. */
  close(): Promise<void>;
}

export interface TrainerOptions {
  readonly optimizer: AdamW;
  readonly gradientNormMax: number;
  readonly device?: Device;
}

/**
 * Prepare to train an adapter of a model; the adapter given is not changed. Runs block their thread.
 * @throws WeightMismatchError for the folder, AdapterError for an adapter of another model.
 */
export async function openTrainer(
  folder: ModelFolder,
  adapter: Adapter,
  options: TrainerOptions,
): Promise<Trainer> {
  claimTensors(folder, expectedTensors(folder.config));
  const targets = adapterTargets(folder, adapter);
  const located = locate(folder);
  const open = (make: typeof trainGraph) => {
    const graph = make(located, targets);
    return openGraph(graph.name, encode(graph), folder.path, { ...trainSession, device: options.device });
  };
  const train = await open(trainGraph);
  const graphs = {
    train: encode(trainGraph(folder, targets)),
    evaluation: encode(evaluationGraph(folder, targets)),
  };
  let evaluation: Promise<OpenGraph> | null = null;
  const state: TrainState = { steps: 0, parameters: parametersOf(adapter, options.optimizer), best: null };
  return {
    state,
    graphs,
    step: (batches, learningRate) => step(train.run, state, batches, learningRate, { ...options, targets }),
    evaluate: async (batches) => {
      evaluation ??= open(evaluationGraph);
      return evaluate((await evaluation).run, state, batches, targets);
    },
    adapter: () => adapterOf(adapter, copyValues(state)),
    adapterOf: (values) => adapterOf(adapter, values),
    keepBest: () => {
      state.best = { steps: state.steps, values: copyValues(state) };
    },
    close: async () => {
      await train.release();
      // One that did not open told whoever evaluated, and holds nothing.
      await (await evaluation?.catch(() => null))?.release();
    },
  };
}

/**
 * The matrices an adapter changes.
 * @throws AdapterError naming a module the model lacks or has in another size.
 */
export function adapterTargets(folder: ModelFolder, adapter: Adapter): Targets {
  checkAdapter(adapter);
  const modules = [...adapter.modules].map(
    ([name, module]): AdaptedModule => ({ name, rank: module.rank, scale: scaleOf(adapter, module) }),
  );
  const targets = findTargets(folder.config, modules);
  for (const [name, { inSize, outSize }] of adapter.modules) {
    const linear = targets.get(name)?.linear;
    if (linear?.inSize !== inSize || linear.outSize !== outSize) {
      const reason = `it is [${outSize},${inSize}], the model's is [${linear?.outSize},${linear?.inSize}]`;
      throw new AdapterError("adapter-mismatch", name, reason);
    }
  }
  return targets;
}

async function step(
  run: Run,
  state: TrainState,
  batches: readonly Batch[],
  learningRate: number,
  { optimizer, gradientNormMax, targets }: TrainerOptions & { targets: Targets },
): Promise<StepReport> {
  const gradients = new Map<string, Float32Array>();
  let loss = 0;
  for (const batch of batches) {
    const outputs = await run(feedsOf(state, batch, targets));
    loss += outputs.loss?.[0] ?? Number.NaN;
    for (const name of state.parameters.keys()) addInto(gradients, name, outputs[`gradient.${name}`]);
  }
  const targetCount = countTargets(batches);
  const gradientNorm = normOf(gradients.values()) / targetCount;
  if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) throw new NotFiniteError("training loss");
  const clip = Math.min(1, gradientNormMax / (gradientNorm + 1e-6));
  state.steps += 1;
  for (const [name, parameter] of state.parameters) {
    const gradient = gradients.get(name);
    invariant(gradient, `a gradient of ${name}`);
    update(parameter, gradient, clip / targetCount, state.steps, learningRate, optimizer);
  }
  return { loss: loss / targetCount, gradientNorm };
}

async function evaluate(
  run: Run,
  state: TrainState,
  batches: readonly Batch[],
  targets: Targets,
): Promise<number> {
  let loss = 0;
  for (const batch of batches) {
    const outputs = await run(feedsOf(state, batch, targets));
    loss += outputs.loss?.[0] ?? Number.NaN;
  }
  if (!Number.isFinite(loss)) throw new NotFiniteError("evaluation loss");
  return loss / countTargets(batches);
}

/** Inputs of the train and evaluation graphs. */
function feedsOf(state: TrainState, batch: Batch, targets: Targets): Parameters<Run>[0] {
  const shape = [batch.rowCount, batch.rowTokens];
  const count = [batch.targetRows.length];
  const feeds: Parameters<Run>[0] = {
    tokenIds: integers(batch.tokenIds, shape),
    positions: integers(batch.positions, shape),
    segments: integers(batch.segments, shape),
    targetRows: integers(batch.targetRows, count),
    targetIds: integers(batch.targetIds, count),
    targetWeights: floats(new Float32Array(batch.targetRows.length).fill(1), count),
  };
  for (const [name, { linear, module }] of targets) {
    feeds[`${name}.a`] = floats(valuesOf(state, `${name}.a`), [module.rank, linear.inSize]);
    feeds[`${name}.b`] = floats(valuesOf(state, `${name}.b`), [linear.outSize, module.rank]);
  }
  return feeds;
}

function valuesOf(state: TrainState, name: string): Float32Array {
  const parameter = state.parameters.get(name);
  invariant(parameter, `a parameter ${name}`);
  return parameter.value;
}

function addInto(sums: Map<string, Float32Array>, name: string, given: Float32Array | undefined): void {
  invariant(given, `the graph gives gradient.${name}`);
  const sum = sums.get(name);
  if (!sum) {
    sums.set(name, given);
    return;
  }
  for (let index = 0; index < sum.length; index++) sum[index] = sum[index]! + given[index]!;
}

function normOf(gradients: Iterable<Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients) {
    for (let index = 0; index < gradient.length; index++) sum += gradient[index]! ** 2;
  }
  return Math.sqrt(sum);
}

function countTargets(batches: readonly Batch[]): number {
  return batches.reduce((sum, { targetRows }) => sum + targetRows.length, 0);
}

function parametersOf(adapter: Adapter, optimizer: AdamW): Map<string, Parameter> {
  return new Map(
    [...adapter.modules].flatMap(([name, { a, b }]) => [
      [`${name}.a`, fresh(a.slice(), optimizer)] as const,
      [`${name}.b`, fresh(b.slice(), optimizer)] as const,
    ]),
  );
}

function copyValues({ parameters }: TrainState): Map<string, Float32Array> {
  return new Map([...parameters].map(([name, { value }]) => [name, value.slice()]));
}

function adapterOf(adapter: Adapter, values: ReadonlyMap<string, Float32Array>): Adapter {
  const modules = [...adapter.modules].map(([name, module]) => {
    return [name, { ...module, a: values.get(`${name}.a`)!, b: values.get(`${name}.b`)! }] as const;
  });
  return { ...adapter, modules: new Map(modules) };
}
