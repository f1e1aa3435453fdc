import { invariant } from "#schema/errors";
import { mean, type Vector } from "../influence/matrix.ts";

export type Numbers = Vector | readonly number[];

/** Pearson's r; 0 where one side does not vary. */
export function pearson(a: Numbers, b: Numbers): number {
  invariant(a.length === b.length, "two samples of one size");
  const [centerA, centerB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - centerA, b[i]! - centerB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** Spearman's ρ: Pearson's r of the ranks, ties sharing their mean rank. */
export function spearman(a: Numbers, b: Numbers): number {
  return pearson(ranks(a), ranks(b));
}

/** Records each retrained model saw, and the query losses it reached, [subsets][queries]. */
export type Retrainings = {
  readonly subsets: readonly (readonly number[])[];
  readonly losses: readonly Numbers[];
};

/**
 * Linear datamodelling score of each query: Spearman's ρ over subsets between the sum of the scores of the records in
 * the subset and the negative loss of the model retrained on it. Source: Def. 2.3, Park et al. 2023.
 * `scores` is [queries][records], positive = helps.
 */
export function linearDatamodelling(scores: readonly Numbers[], retrainings: Retrainings): number[] {
  return compared(scores, retrainings).map(({ predicted, actual }) => spearman(predicted, actual));
}

/** A mean with the bounds of its 95 % interval. */
export type Interval = { mean: number; low: number; high: number };

/**
 * Mean score over the queries, its standard error over the retrainings by the jackknife: each left out once. (Bootstrap
 * draws repeat retrainings; the ties that makes lower every ρ, and its interval misses the mean.)
 */
export function ldsInterval(scores: readonly Numbers[], retrainings: Retrainings): Interval {
  const queries = compared(scores, retrainings);
  const meanOver = (pick: (values: readonly number[]) => readonly number[]) =>
    mean(queries.map(({ predicted, actual }) => spearman(pick(predicted), pick(actual))));
  const count = retrainings.subsets.length;
  const left = Array.from({ length: count }, (_, out) => meanOver((values) => values.toSpliced(out, 1)));
  const center = mean(left);
  const error = Math.sqrt((count - 1) * mean(left.map((value) => (value - center) ** 2)));
  const whole = meanOver((values) => values);
  return { mean: whole, low: whole - 1.96 * error, high: whole + 1.96 * error };
}

/** Student's t at 97.5 % for 1 to 9 degrees of freedom. */
const t975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** Mean over runs with other seeds, 2 to 10 of them, with Student's interval. */
export function meanInterval(values: readonly number[]): Interval {
  const t = t975[values.length - 2];
  invariant(t !== undefined, `from 2 to 10 runs, got ${values.length}`);
  const center = mean(values);
  const variance = values.reduce((total, x) => total + (x - center) ** 2, 0) / (values.length - 1);
  const half = t * Math.sqrt(variance / values.length);
  return { mean: center, low: center - half, high: center + half };
}

function compared(scores: readonly Numbers[], { subsets, losses }: Retrainings) {
  return scores.map((ofQuery, query) => ({
    predicted: subsets.map((records) => records.reduce((total, i) => total + ofQuery[i]!, 0)),
    actual: losses.map((ofSubset) => -ofSubset[query]!),
  }));
}

function ranks(values: Numbers): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) result[order[i]!] = (start + end - 1) / 2;
    start = end;
  }
  return result;
}
