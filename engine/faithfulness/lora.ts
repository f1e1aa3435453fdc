import type { Example } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import type { Block, Query } from "../influence/block.ts";
import { dataInf } from "../influence/datainf.ts";
import { scores, scoresByRatio } from "../influence/efim.ts";
import { mean } from "../influence/matrix.ts";
import { textSimilarity } from "../influence/text-similarity.ts";
import { hybrid, less } from "../influence/trajectory.ts";
import { linearDatamodelling, type Numbers, type Retrainings, spearman } from "./correlation.ts";
import { shuffled } from "./digits.ts";
import {
  checkpointsOf,
  type LoraTraining,
  lessCheckpoints,
  loraGradients,
  lossesUnder,
  retrainedLosses,
  trainWatched,
} from "./lora-training.ts";

/** A record or query: what the model reads, what a text method reads, and the class it was drawn from. */
export type LoraRecord = {
  readonly example: Example;
  readonly words: readonly string[];
  readonly classIndex: number;
};

export type LoraWorld = {
  readonly training: LoraTraining;
  readonly records: readonly LoraRecord[];
  readonly queries: readonly LoraRecord[];
  /** Random halves that models are trained on. The first `choosingCount` choose the damping, the others judge. */
  readonly subsetCount: number;
  readonly choosingCount: number;
  /** Trainings of each half in other orders of its records, whose mean loss is taken: the order is no effect of data. */
  readonly ordersPerSubset: number;
  readonly seed: bigint;
  /** Gives what was made under this key before, or makes it: so that a measurement that was killed goes on. */
  readonly remember: (key: string, make: () => Promise<number[]>) => Promise<number[]>;
};

export const methods = ["eFIM-dual", "DataInf", "Grad-Dot", "LESS", "TF-IDF", "hybrid"] as const;
export type Method = (typeof methods)[number];

/** What is judged, as JSON can keep it: scores of each method, [queries][records], and the retrained models it never saw. */
export type LoraJudgement = {
  readonly scores: Readonly<Record<Method, readonly Numbers[]>>;
  readonly retrainings: Retrainings;
  readonly classes: readonly number[];
  readonly efimRatio: number;
  /** Loss per query before and after training on all records, and correlation of the losses of two orders. */
  readonly lossBefore: number;
  readonly lossAfter: number;
  readonly orderAgreement: number;
};

const dampingRatios = [1, 0.1, 0.01, 0.001];
const lessStops = 4;

/**
 * Influence of an adapter's records on queries by every method, and the truth: adapters trained on random halves. The
 * damping of eFIM is chosen on other queries and other halves than those judged.
 */
export async function judgeLora(world: LoraWorld): Promise<LoraJudgement> {
  const { training, records, queries, seed } = world;
  const stops = Array.from({ length: lessStops }, (_, i) =>
    Math.round(((i + 1) * training.epochs) / lessStops),
  );
  const { adapter, waypoints } = await trainWatched(training, records.map(exampleOf), seed, stops);
  const { subsets, byOrder } = await retrain(world);
  const averaged = subsets.map((_, s) =>
    queries.map((_q, q) => mean(byOrder.map((losses) => losses[s]![q]!))),
  );
  const choosing = queries.flatMap((_, i) => (i % 2 === 0 ? [i] : []));
  const judging = judgedQueries(queries.length);
  const part = (from: number, to: number, kept: readonly number[]): Retrainings => ({
    subsets: subsets.slice(from, to),
    losses: averaged.slice(from, to).map((losses) => kept.map((q) => losses[q]!)),
  });
  const { blocks, queries: vectors } = await loraGradients(
    training.folder,
    adapter,
    records.map(exampleOf),
    queries.map(exampleOf),
  );
  const efim = chooseDamping(
    blocks,
    choosing.map((q) => vectors[q]!),
    part(0, world.choosingCount, choosing),
  );
  const asked = judging.map((q) => vectors[q]!);
  const efimScores = asked.map(efim.scoresOf);
  const similarity = textSimilarity(records.map(({ words }) => words));
  const text = judging.map((q) => similarity(queries[q]!.words));
  const checkpoints = await lessCheckpoints(
    training.folder,
    waypoints,
    records.map(exampleOf),
    judging.map((q) => queries[q]!.example),
  );
  return {
    scores: {
      "eFIM-dual": efimScores.map(plain),
      DataInf: asked.map((v) => plain(dataInf(blocks, v))),
      "Grad-Dot": asked.map((v) => plain(scores(blocks, v))),
      LESS: judging.map((_, i) => plain(less(checkpointsOf(checkpoints, i)))),
      "TF-IDF": text.map(plain),
      hybrid: efimScores.map((influence, i) => plain(hybrid(influence, text[i]!))),
    },
    retrainings: part(world.choosingCount, world.subsetCount, judging),
    classes: records.map(({ classIndex }) => classIndex),
    efimRatio: efim.ratio,
    lossBefore: mean(await lossesUnder(training.folder, training.start, queries.map(exampleOf))),
    lossAfter: mean(await lossesUnder(training.folder, adapter, queries.map(exampleOf))),
    orderAgreement: agreement(byOrder, queries.length),
  };
}

/** Losses of all queries after training on each half, [orders][halves][queries]. */
async function retrain(world: LoraWorld) {
  const { training, records, queries, subsetCount, ordersPerSubset, seed, remember } = world;
  const next = pcg32(seed, 11n);
  const subsets = Array.from({ length: subsetCount }, () =>
    shuffled(records.length, next)
      .slice(0, Math.floor(records.length / 2))
      .sort((a, b) => a - b),
  );
  const byOrder: number[][][] = Array.from({ length: ordersPerSubset }, () => []);
  for (const [s, subset] of subsets.entries()) {
    for (const [order, losses] of byOrder.entries()) {
      const examples = subset.map((i) => records[i]!.example);
      const orderSeed = seed * 1_000n + BigInt(order);
      losses.push(
        await remember(`half ${s} order ${order}`, () =>
          retrainedLosses(training, examples, queries.map(exampleOf), orderSeed),
        ),
      );
    }
  }
  return { subsets, byOrder };
}

function chooseDamping(
  blocks: readonly Block[],
  queries: readonly Query[],
  retrainings: Retrainings,
): { ratio: number; scoresOf: (query: Query) => Float64Array } {
  const under = scoresByRatio(blocks);
  const tried = dampingRatios.map((ratio) => ({
    ratio,
    lds: mean(linearDatamodelling(queries.map(under(ratio)), retrainings)),
  }));
  const { ratio } = tried.reduce((a, b) => (b.lds > a.lds ? b : a));
  return { ratio, scoresOf: under(ratio) };
}

function plain(values: Float64Array): number[] {
  return [...values];
}

/** Every other query is judged; the rest choose the damping. */
export function judgedQueries(count: number): number[] {
  return Array.from({ length: Math.floor(count / 2) }, (_, i) => 2 * i + 1);
}

export function exampleOf({ example }: LoraRecord): Example {
  return example;
}

/** Mean over the queries of the rank correlation of their losses in the first two orders, over the halves; 1 with one order. */
function agreement([first, second]: readonly number[][][], queryCount: number): number {
  if (second === undefined) return 1;
  return mean(
    Array.from({ length: queryCount }, (_, q) =>
      spearman(
        first!.map((losses) => losses[q]!),
        second.map((losses) => losses[q]!),
      ),
    ),
  );
}
