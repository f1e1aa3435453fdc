import type { Targets } from "#runtime/decoder/adapted";
import { expectedTensors } from "#runtime/decoder/description";
import { invariant, NotFiniteError } from "#runtime/errors";
import { claimTensors } from "#runtime/families/weight-claims";
import { type Device, takeDevice } from "#runtime/inference/device";
import { type ExecutionProfile, profileHere } from "#runtime/inference/profile";
import { floats, integers, openGraph, type Run } from "#runtime/inference/session";
import { type Adapter, AdapterError } from "#runtime/lora/adapter";
import { encode } from "#runtime/onnx/model";
import { check, isObject } from "#runtime/request";
import { checkExamples, type Example } from "#runtime/training/packing";
import { checkRun, type RunSize, runBytes, runBytesMaxDefault } from "#runtime/training/run-memory";
import { adapterTargets } from "#runtime/training/trainer";
import { locate, type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { checkQueries, checkReduction } from "./check-reduction.ts";
import { gradientGraph, type Reduction } from "./gradient-graph.ts";

export interface GradientOptions {
  /** What computes, default `cpu`. */
  readonly device?: Device;
  /** Most bytes that one run of the graph may take beside the weights, as estimated before. Default half of the process's memory. */
  readonly runBytesMax?: number;
}

/** One example's gradient. Layout: `factors` has `<module>.a` and `<module>.b` in the order the matrices are applied. */
export interface ExampleGradient {
  /** Σ −log p over the learned tokens, in nats; the gradients are of this sum. */
  readonly loss: number;
  /** Row major: [P, Q] in full, at most [rows, columns] projected, [M] products, one per query. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/** Gradients to multiply with, by `<module>.a` and `.b`: [M, P, Q], row major, for the `products` reduction. */
export interface Queries {
  readonly count: number;
  readonly factors: ReadonlyMap<string, Float32Array>;
}

export interface Gradients extends AsyncDisposable {
  /** Gradient of every example, in order. The same bits whatever else is in the call. @throws MemoryLimitError */
  of(examples: readonly Example[], queries?: Queries): Promise<ExampleGradient[]>;
  /** The same graph under another adapter of the same modules, ranks and scales; close the first alone. @throws AdapterError */
  under(adapter: Adapter): Pick<Gradients, "of">;
  /**
   * What computes: graph, weights and machine, or what would on another device, which need not be here. Adapters are fed
   * to it and not in it. Reads the weight files the first time.
   */
  profile(on?: Device): Promise<ExecutionProfile>;
  /** Give back the graph's memory, and the GPU where it runs on one. Calls are refused with ModelClosedError afterwards. */
  close(): Promise<void>;
}

/**
 * Examples are padded to whole blocks of this many tokens, so that those of like length share runs. Finer than `timeBlock`:
 * the padded length follows from the example alone, and nothing is compared with another padding.
 */
const paddingTokens = 16;

/** Most padded tokens in one run, unless one example alone has more. */
const runTokensMax = 512;

/**
 * Prepare per-example gradients of an adapter on a model. Runs block their thread: call it in a worker.
 * Gradients of a GPU agree with the CPU's to about 1e-4 and have no promised bits.
 * @throws those of `readModelFolder`, InvalidRequestError for the reduction, WeightMismatchError, AdapterError,
 * DeviceBusyError, DeviceUnavailableError.
 */
export async function openGradients(
  folder: string,
  adapter: Adapter,
  reduction: Reduction,
  options: GradientOptions = {},
): Promise<Gradients> {
  check(isObject(options), "options", "an object", options);
  const { device = "cpu", runBytesMax = runBytesMaxDefault() } = options;
  checkReduction(reduction);
  const isBytes = Number.isSafeInteger(runBytesMax) && runBytesMax >= 0;
  check(isBytes, "runBytesMax", "a whole number from 0", runBytesMax);
  const model = await readModelFolder(folder);
  claimTensors(model, expectedTensors(model.config));
  const targets = adapterTargets(model, adapter);
  const graph = gradientGraph(locate(model), targets, reduction);
  const giveBack = takeDevice(device);
  const opened = openGraph(graph.name, encode(graph), model.path, { device });
  const { run, release } = await opened.catch((error: unknown) => {
    giveBack();
    throw error;
  });
  const { contextTokensMax, vocabularySize } = model.config;
  const bytesOf = (example: Example) => runBytes(model.config, sizeOf(example));
  const under = (given: Adapter): Pick<Gradients, "of"> => {
    const factors = factorFeeds(targets, given);
    return {
      of: async (examples, queries) => {
        checkExamples(examples, contextTokensMax, vocabularySize);
        for (const example of examples) checkRun(model.config, sizeOf(example), runBytesMax);
        checkQueries(targets, reduction, queries);
        const more = queries ? queryFeeds(targets, queries) : {};
        const runs = planRuns(examples, (example) => runBytesMax / bytesOf(example));
        return runAll(run, { ...factors, ...more }, examples, runs, Object.keys(factors));
      },
    };
  };
  const profiles = new Map<Device, Promise<ExecutionProfile>>();
  const close = async () => {
    await release();
    giveBack();
  };
  return {
    ...under(adapter),
    under: (other) => {
      assertSameTargets(targets, adapterTargets(model, other));
      return under(other);
    },
    profile: (on = device) => {
      const known = profiles.get(on) ?? profileOf(model, targets, reduction, on);
      profiles.set(on, known);
      return known;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function profileOf(model: ModelFolder, targets: Targets, reduction: Reduction, device: Device) {
  const graphs = { gradients: encode(gradientGraph(model, targets, reduction)) };
  return (await profileHere(model, { graphs, device, timeBlockTokens: paddingTokens })).profile;
}

/** Rank and scale are in the graph. @throws AdapterError */
function assertSameTargets(ours: Targets, theirs: Targets): void {
  const spell = (targets: Targets) =>
    [...targets].map(([name, { module }]) => `${name} of rank ${module.rank}, scale ${module.scale}`).sort();
  const [wanted, given] = [spell(ours), spell(theirs)];
  const at = wanted.findIndex((line, index) => line !== given[index]);
  if (at === -1 && given.length === wanted.length) return;
  const reason = `it has ${given.at(at) ?? "fewer matrices"}, the graph is of ${wanted.at(at)}`;
  throw new AdapterError("adapter-mismatch", wanted.at(at) ?? "adapter", reason);
}

/** Which examples run together, by index: of one padded length, which follows from each example's own. */
interface PlannedRun {
  readonly tokens: number;
  readonly indices: readonly number[];
}

/** `countMax` is how many examples like one have room at a time. */
function planRuns(examples: readonly Example[], countMax: (example: Example) => number): PlannedRun[] {
  const groups = Map.groupBy(examples.keys(), (index) => paddedTokens(examples[index]!));
  return [...groups].flatMap(([tokens, members]) => {
    const room = members.reduce((least, index) => Math.min(least, countMax(examples[index]!)), Infinity);
    const perRun = Math.max(1, Math.floor(Math.min(runTokensMax / tokens, room)));
    return Array.from({ length: Math.ceil(members.length / perRun) }, (_, at) => ({
      ...{ tokens, indices: members.slice(at * perRun, (at + 1) * perRun) },
    }));
  });
}

async function runAll(
  run: Run,
  feeds: Parameters<Run>[0],
  examples: readonly Example[],
  runs: readonly PlannedRun[],
  names: readonly string[],
): Promise<ExampleGradient[]> {
  const results = new Array<ExampleGradient>(examples.length);
  for (const { tokens, indices } of runs) {
    const rows = indices.map((index) => examples[index]!);
    const found = await runBatch(run, feeds, rows, tokens, names);
    indices.forEach((index, row) => {
      results[index] = found[row]!;
    });
  }
  return results;
}

function sizeOf(example: Example): RunSize {
  const { tokenIds, answerFrom } = example;
  return { rows: 1, tokens: paddedTokens(example), learned: tokenIds.length - answerFrom };
}

function paddedTokens({ tokenIds }: Example): number {
  return Math.ceil(tokenIds.length / paddingTokens) * paddingTokens;
}

async function runBatch(
  run: Run,
  feeds: Parameters<Run>[0],
  examples: readonly Example[],
  tokens: number,
  names: readonly string[],
): Promise<ExampleGradient[]> {
  const tokenIds = examples.flatMap((example) => [
    ...example.tokenIds,
    ...new Array<number>(tokens - example.tokenIds.length).fill(0),
  ]);
  const targets = examples.flatMap(({ tokenIds: ids, answerFrom }, row) =>
    ids.slice(answerFrom).map((id, at) => ({ row: row * tokens + answerFrom - 1 + at, id })),
  );
  const count = [targets.length];
  const outputs = await run({
    ...feeds,
    tokenIds: integers(tokenIds, [examples.length, tokens]),
    targetRows: integers(
      targets.map(({ row }) => row),
      count,
    ),
    targetIds: integers(
      targets.map(({ id }) => id),
      count,
    ),
    targetWeights: floats(new Float32Array(targets.length).fill(1), count),
  });
  let next = 0;
  return examples.map((example, row) => {
    let loss = 0;
    for (let at = example.answerFrom; at < example.tokenIds.length; at++) {
      loss += outputs.losses?.[next++] ?? Number.NaN;
    }
    if (!Number.isFinite(loss)) throw new NotFiniteError("example loss");
    const factors = new Map(names.map((name) => [name, part(outputs, name, row, examples.length)]));
    for (const [name, values] of factors) {
      if (!isReal(values)) throw new NotFiniteError(`gradient of ${name}`);
    }
    return { loss, factors };
  });
}

/** x − x is 0 for every number and NaN for the others; a loop, because this sees every byte of a store. */
function isReal(values: Float32Array): boolean {
  let spoilt = 0;
  for (let i = 0; i < values.length; i++) spoilt += values[i]! - values[i]!;
  return spoilt === 0;
}

/** Row `row` of an output [B, …]. */
function part(outputs: Record<string, Float32Array>, name: string, row: number, count: number): Float32Array {
  const all = outputs[`gradient.${name}`];
  invariant(all && all.length % count === 0, `the graph gives gradient.${name}`);
  const size = all.length / count;
  return all.slice(row * size, (row + 1) * size);
}

function factorFeeds(targets: Targets, { modules }: Adapter): Parameters<Run>[0] {
  const feeds: Parameters<Run>[0] = {};
  for (const [name, { linear, module }] of targets) {
    const factors = modules.get(name);
    invariant(factors, "targets are modules of the adapter");
    feeds[`${name}.a`] = floats(factors.a, [module.rank, linear.inSize]);
    feeds[`${name}.b`] = floats(factors.b, [linear.outSize, module.rank]);
  }
  return feeds;
}

function queryFeeds(targets: Targets, { count, factors }: Queries): Parameters<Run>[0] {
  const feeds: Parameters<Run>[0] = {};
  for (const [name, { linear, module }] of targets) {
    for (const [key, shape] of [
      [`${name}.a`, [count, module.rank, linear.inSize]],
      [`${name}.b`, [count, linear.outSize, module.rank]],
    ] as const) {
      feeds[`query.${key}`] = floats(factors.get(key)!, shape);
    }
  }
  return feeds;
}
