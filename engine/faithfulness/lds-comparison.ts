import { pcg32 } from "#runtime/inference/sampler";
import { factor, solve } from "../influence/cholesky.ts";
import { covariance, matrix, mean, times, timesTransposed } from "../influence/matrix.ts";
import { type Interval, type Numbers, type Retrainings, spearman } from "./correlation.ts";

/** Scores of one method on one run's queries, [queries][records], and the run's retrained models. */
export type JudgedScores = {
  readonly scores: readonly Numbers[];
  readonly retrainings: Retrainings;
  /** Class of each record. */
  readonly classes: readonly number[];
};

const draws = 400;
const seed = 5n;

/** What is predicted for and what was reached by each retrained model, of every query: [queries][subsets]. */
type Pairs = readonly { readonly predicted: readonly number[]; readonly actual: readonly number[] }[];

/** LDS over all runs: the mean over queries and runs, with the interval of the jackknife over retrainings, pooled. */
export function pooledLds(runs: readonly JudgedScores[], within: "all" | "class" = "all"): Interval {
  const found = runs.map((run) => jackknife(pairsOf(run, within)));
  const center = mean(found.map(({ lds }) => lds));
  const error = Math.sqrt(found.reduce((total, { variance }) => total + variance, 0)) / runs.length;
  return { mean: center, low: center - 1.96 * error, high: center + 1.96 * error };
}

/**
 * LDS of `ours` minus LDS of `others` over the same runs, with the 95 % interval of a paired bootstrap that draws queries
 * and retrainings of every run again. Drawn twice, a retraining is a tie, which makes every ρ lower and the difference
 * smaller; so the interval errs towards zero.
 */
export function ldsDifference(ours: readonly JudgedScores[], others: readonly JudgedScores[]): Interval {
  const runs = ours.map((run, i) => ({ a: pairsOf(run, "all"), b: pairsOf(others[i]!, "all") }));
  const differenceOver = (pick: (count: number, of: "queries" | "subsets") => readonly number[]) =>
    mean(
      runs.map(({ a, b }) => {
        const subsets = pick(a[0]!.actual.length, "subsets");
        const rho = (pairs: Pairs, query: number) =>
          spearman(
            subsets.map((s) => pairs[query]!.predicted[s]!),
            subsets.map((s) => pairs[query]!.actual[s]!),
          );
        return mean(pick(a.length, "queries").map((query) => rho(a, query) - rho(b, query)));
      }),
    );
  const next = pcg32(seed);
  const drawn = Array.from({ length: draws }, () =>
    differenceOver((count) => Array.from({ length: count }, () => next() % count)),
  ).sort((x, y) => x - y);
  const whole = differenceOver((count) => Array.from({ length: count }, (_, i) => i));
  return { mean: whole, low: drawn[Math.floor(draws * 0.025)]!, high: drawn[Math.ceil(draws * 0.975) - 1]! };
}

function jackknife(pairs: Pairs): { lds: number; variance: number } {
  const over = (pick: (values: readonly number[]) => readonly number[]) =>
    mean(pairs.map(({ predicted, actual }) => spearman(pick(predicted), pick(actual))));
  const count = pairs[0]!.actual.length;
  const left = Array.from({ length: count }, (_, out) => over((values) => values.toSpliced(out, 1)));
  const center = mean(left);
  return {
    lds: over((values) => values),
    variance: (count - 1) * mean(left.map((value) => (value - center) ** 2)),
  };
}

/**
 * `class`: both sides without what the numbers of records of each class in a subset explain linearly. What is left is
 * which records of a class were there; what LDS on classes hides.
 */
function pairsOf(
  { scores, retrainings: { subsets, losses }, classes }: JudgedScores,
  within: "all" | "class",
): Pairs {
  const residual = within === "all" ? (values: readonly number[]) => values : residualOf(subsets, classes);
  return scores.map((ofQuery, query) => ({
    predicted: residual(subsets.map((records) => records.reduce((total, i) => total + ofQuery[i]!, 0))),
    actual: residual(losses.map((ofSubset) => -ofSubset[query]!)),
  }));
}

/** y → y − X(XᵀX)⁻¹Xᵀy, X = [records of each class in a subset]; their sum is the same for all, which is the constant. */
function residualOf(subsets: Retrainings["subsets"], classes: readonly number[]) {
  const classCount = Math.max(...classes) + 1;
  const counts = matrix(subsets.length, classCount);
  subsets.forEach((records, s) => {
    for (const record of records) counts.values[s * classCount + classes[record]!]! += 1;
  });
  const lower = factor(covariance(counts), 1e-9);
  return (values: readonly number[]): readonly number[] => {
    const fitted = times(counts, solve(lower, timesTransposed(counts, Float64Array.from(values))));
    return values.map((value, s) => value - fitted[s]!);
  };
}
