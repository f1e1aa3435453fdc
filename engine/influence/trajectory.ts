import { invariant } from "#schema/errors";
import { type Block, type Query, sumOverBlocks } from "./block.ts";
import { scores } from "./efim.ts";
import { dot, mean, squaredNorms, times, type Vector } from "./matrix.ts";

/** Gradients of records and query at one checkpoint of the training, and the learning rate there. */
export type Checkpoint = {
  readonly blocks: readonly Block[];
  readonly query: Query;
  readonly learningRate: number;
};

/** TracInCP: Σₜ ηₜ gᵢ(t)·v(t), the gradient dot product summed over checkpoints. Source: Eq. 1, Pruthi et al. 2020. */
export function tracIn(checkpoints: readonly Checkpoint[]): Float64Array {
  return overCheckpoints(checkpoints, ({ blocks, query }) => scores(blocks, query));
}

/**
 * LESS: Σₜ ηₜ cos(u(gᵢ), v) over all blocks together; `blocks` hold Adam's update u of each record's gradient
 * (`adamDirection`). A zero gradient has no direction and scores zero. Source: Eq. 4, Xia et al. 2024.
 */
export function less(checkpoints: readonly Checkpoint[]): Float64Array {
  return overCheckpoints(checkpoints, cosines);
}

/** Adam's moments of one block before the step `step` (from 1). */
export type AdamState = { readonly first: Vector; readonly second: Vector; readonly step: number };

/**
 * The direction Adam would step for the gradient g: m̂ / (√v̂ + ε), both moments corrected for their start at zero.
 * Source: Algorithm 1, Kingma & Ba 2015.
 */
export function adamDirection(
  g: Vector,
  { first, second, step }: AdamState,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = {},
): Float64Array {
  invariant(step >= 1 && g.length === first.length, "moments of the gradient's size, steps from 1");
  const bias1 = 1 - beta1 ** step;
  const bias2 = 1 - beta2 ** step;
  return Float64Array.from(g, (x, i) => {
    const m = (beta1 * first[i]! + (1 - beta1) * x) / bias1;
    const v = (beta2 * second[i]! + (1 - beta2) * x * x) / bias2;
    return m / (Math.sqrt(v) + epsilon);
  });
}

/** One similarity with two sources: each standardised over the records, then added. Ranks records, has no unit. */
export function hybrid(influences: Vector, similarities: Vector): Float64Array {
  invariant(influences.length === similarities.length, "a similarity for each record");
  const [a, b] = [standardised(influences), standardised(similarities)];
  return a.map((x, i) => x + b[i]!);
}

/**
 * The same in the unit of the influences: each is averaged with its text's similarity, brought to the mean and deviation of the
 * influences, μ + σ·hybrid ÷ 2. Ranks records as `hybrid` does.
 */
export function hybridInfluence(influences: Vector, similarities: Vector): Float64Array {
  const center = mean(influences);
  const deviation = deviationOf(influences);
  return hybrid(influences, similarities).map((x) => center + (deviation * x) / 2);
}

function cosines({ blocks, query }: Checkpoint): Float64Array {
  const products = sumOverBlocks(blocks, query, times);
  const squares = sumOverBlocks(blocks, query, squaredNorms);
  const queryNorm = Math.sqrt(query.reduce((total, v) => total + dot(v, v), 0));
  return products.map((product, i) => {
    const norm = Math.sqrt(squares[i]!) * queryNorm;
    return norm === 0 ? 0 : product / norm;
  });
}

function overCheckpoints(
  checkpoints: readonly Checkpoint[],
  score: (checkpoint: Checkpoint) => Float64Array,
): Float64Array {
  const parts = checkpoints.map((checkpoint) => score(checkpoint).map((x) => x * checkpoint.learningRate));
  invariant(parts.length > 0, "at least one checkpoint");
  return parts[0]!.map((_, i) => parts.reduce((total, part) => total + part[i]!, 0));
}

function standardised(values: Vector): Float64Array {
  const center = mean(values);
  const deviation = deviationOf(values);
  return Float64Array.from(values, (x) => (deviation === 0 ? 0 : (x - center) / deviation));
}

function deviationOf(values: Vector): number {
  const center = mean(values);
  return Math.sqrt(mean(Float64Array.from(values, (x) => (x - center) ** 2)));
}
