import {
  type Adapter,
  type Example,
  type ExampleGradient,
  openGradients,
  type Schedule,
  train,
} from "#runtime/index";
import { adamWDefaults } from "#runtime/training/adamw";
import { numbersOf } from "#runtime/training/moment";
import { packEpoch } from "#runtime/training/packing";
import { learningRate } from "#runtime/training/schedule";
import { openTrainer, type TrainState } from "#runtime/training/trainer";
import { readModelFolder } from "#runtime/weights/model-folder";
import type { Block, Query } from "../influence/block.ts";
import { matrix, row } from "../influence/matrix.ts";
import { type AdamState, adamDirection, type Checkpoint } from "../influence/trajectory.ts";

/** How adapters are trained: the same for all records and for each half of them. */
export type LoraTraining = {
  /** Folder of the base model. */
  readonly folder: string;
  /** Where every training starts. */
  readonly start: Adapter;
  readonly epochs: number;
  readonly peak: number;
  readonly rowTokens: number;
  readonly rowCount: number;
};

/** Gradients of records as blocks and of queries, a vector per block, under one adapter. */
export type LoraGradients = {
  /** Of each block: `<module>.a` or `.b`. */
  readonly names: readonly string[];
  readonly blocks: readonly Block[];
  readonly queries: readonly Query[];
};

/** An adapter on the way: after an epoch, with Adam's moments and the learning rate there. */
export type Waypoint = {
  readonly adapter: Adapter;
  readonly moments: ReadonlyMap<string, AdamState>;
  readonly learningRate: number;
};

/** The adapter that `train` gives, by its own steps, and where it stood after each of the `stops` epochs (from 1). */
export async function trainWatched(
  training: LoraTraining,
  examples: readonly Example[],
  seed: bigint,
  stops: readonly number[],
): Promise<{ adapter: Adapter; waypoints: Waypoint[] }> {
  const trainer = await openTrainer(await readModelFolder(training.folder), training.start, {
    optimizer: adamWDefaults,
    gradientNormMax: 1,
  });
  const schedule = scheduleOf(training, examples, seed);
  const waypoints: Waypoint[] = [];
  for (let epoch = 0; trainer.state.steps < schedule.stepsMax; epoch++) {
    let rate = 0;
    for (const batch of packEpoch(examples, training, seed, epoch)) {
      if (trainer.state.steps === schedule.stepsMax) break;
      rate = learningRate(schedule, trainer.state.steps);
      await trainer.step([batch], rate);
    }
    if (stops.includes(epoch + 1))
      waypoints.push({ adapter: trainer.adapter(), moments: momentsOf(trainer.state), learningRate: rate });
  }
  const adapter = trainer.adapter();
  await trainer.close();
  return { adapter, waypoints };
}

/** Losses of the queries, in nats each, of an adapter trained on these examples. */
export async function retrainedLosses(
  training: LoraTraining,
  examples: readonly Example[],
  queries: readonly Example[],
  seed: bigint,
): Promise<number[]> {
  const { adapter } = await train(training.folder, training.start, {
    examples,
    schedule: scheduleOf(training, examples, seed),
    rowTokens: training.rowTokens,
    rowCount: training.rowCount,
    runsPerStep: 1,
    seed,
  });
  return lossesUnder(training.folder, adapter, queries);
}

/** Σ −log p of each example's learned tokens under an adapter, in nats. */
export async function lossesUnder(
  folder: string,
  adapter: Adapter,
  examples: readonly Example[],
): Promise<number[]> {
  // The losses are wanted; the least of the gradients leaves the graph.
  await using gradients = await openGradients(folder, adapter, {
    kind: "projected",
    rows: 1,
    columns: 1,
    seed: 1n,
  });
  const found = await gradients.of(examples);
  return found.map(({ loss }) => loss);
}

export async function loraGradients(
  folder: string,
  adapter: Adapter,
  records: readonly Example[],
  queries: readonly Example[],
): Promise<LoraGradients> {
  await using gradients = await openGradients(folder, adapter, { kind: "full" });
  const [ofRecords, ofQueries] = [await gradients.of(records), await gradients.of(queries)];
  const names = [...ofRecords[0]!.factors.keys()];
  return {
    names,
    blocks: blocksOf(ofRecords),
    queries: ofQueries.map(({ factors }) => [...factors.values()]),
  };
}

/** What LESS compares at each waypoint: the direction Adam would step for a record with the query's gradient. */
export async function lessCheckpoints(
  folder: string,
  waypoints: readonly Waypoint[],
  records: readonly Example[],
  queries: readonly Example[],
): Promise<{ blocks: readonly Block[]; queries: readonly Query[]; learningRate: number }[]> {
  const checkpoints = [];
  for (const { adapter, moments, learningRate: rate } of waypoints) {
    const { names, blocks, queries: found } = await loraGradients(folder, adapter, records, queries);
    const stepped = blocks.map((block, index) => {
      const directions = matrix(block.rows, block.columns, new Float32Array(block.values.length));
      for (let i = 0; i < block.rows; i++)
        row(directions, i).set(adamDirection(row(block, i), moments.get(names[index]!)!));
      return directions;
    });
    checkpoints.push({ blocks: stepped, queries: found, learningRate: rate });
  }
  return checkpoints;
}

/** One query's view of all checkpoints. */
export function checkpointsOf(
  checkpoints: Awaited<ReturnType<typeof lessCheckpoints>>,
  query: number,
): Checkpoint[] {
  return checkpoints.map(({ blocks, queries, learningRate: rate }) => ({
    blocks,
    query: queries[query]!,
    learningRate: rate,
  }));
}

/** Warm-up over a twentieth of the steps, then linearly to zero at the end of the last epoch. */
export function scheduleOf(training: LoraTraining, examples: readonly Example[], seed: bigint): Schedule {
  const stepsMax = packEpoch(examples, training, seed, 0).length * training.epochs;
  return { kind: "linear", peak: training.peak, warmupSteps: Math.ceil(stepsMax / 20), stepsMax };
}

function momentsOf({ parameters, steps }: TrainState): Map<string, AdamState> {
  return new Map(
    [...parameters].map(([name, { value, mean, square }]) => [
      name,
      {
        first: numbersOf(mean, value.length),
        second: numbersOf(square, value.length),
        step: steps + 1,
      },
    ]),
  );
}

function blocksOf(gradients: readonly ExampleGradient[]): Block[] {
  return [...gradients[0]!.factors].map(([name, { length }]) => {
    const block = matrix(gradients.length, length, new Float32Array(gradients.length * length));
    gradients.forEach(({ factors }, i) => {
      row(block, i).set(factors.get(name)!);
    });
    return block;
  });
}
