import { type Generator, pcg32 } from "#runtime/inference/sampler";
import type { Block } from "../influence/block.ts";
import { factor, solve } from "../influence/cholesky.ts";
import { dataInf } from "../influence/datainf.ts";
import { dual, scores } from "../influence/efim.ts";
import { type Matrix, matrix, mean, row, times } from "../influence/matrix.ts";
import { projectBlock, projectQuery } from "../influence/projection.ts";
import { type Interval, ldsInterval, linearDatamodelling, pearson, type Retrainings } from "./correlation.ts";
import { gradients, hessian, type Labelled, losses, optimum } from "./logistic.ts";

/** Size of one run. Half of the queries and of the subsets choose the damping; the other half is reported. */
export type DigitsSize = {
  trainCount: number;
  queryCount: number;
  leaveOneOutCount: number;
  subsetCount: number;
  ridge: number;
};

export const digitsSize: DigitsSize = {
  trainCount: 1_000,
  queryCount: 200,
  leaveOneOutCount: 300,
  subsetCount: 200,
  ridge: 0.01,
};

export type DigitsReport = {
  /** Pearson's r between influence and the true effect of leaving a record out, per query. */
  leaveOneOut: { mean: number; min: number };
  lds: { exact: Interval; efim: Interval; dataInf: Interval; gradientDot: Interval; projected: Interval };
  efimRatio: number;
};

const dampingRatios = [0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4];

/** Digits as in scikit-learn's `digits.csv`: 64 grey values from 0 to 16, then the class, a line each. */
export function parseDigits(csv: string, classCount = 10): Labelled {
  const lines = csv.trim().split("\n");
  const features = matrix(lines.length, 65);
  const labels = new Uint8Array(lines.length);
  lines.forEach((line, index) => {
    const cells = line.split(",").map(Number);
    row(features, index).set([...cells.slice(0, 64).map((grey) => grey / 16), 1]);
    labels[index] = cells[64]!;
  });
  return { features, labels, classCount };
}

/**
 * Influence on the loss of logistic regression against the truth: every record left out and the model fitted again, and
 * models fitted on random halves. The damping of eFIM is chosen on other queries and other halves than it is judged on.
 */
export function measureDigits(data: Labelled, size: DigitsSize, seed: bigint): DigitsReport {
  const next = pcg32(seed);
  const order = shuffled(data.labels.length, next);
  const train = order.slice(0, size.trainCount);
  const queries = order.slice(size.trainCount, size.trainCount + size.queryCount);
  const theta = optimum(data, train, size.ridge);
  const lower = factor(hessian(data, train, theta, size.ridge));
  const refit = (records: readonly number[]) =>
    losses(data, queries, optimum(data, records, size.ridge, { start: theta, preconditioner: lower }));
  const block = gradients(data, train, theta);
  const v = gradients(data, queries, theta);
  const exact = rowsOf(v).map((query) => times(block, solve(lower, query)));
  const subsets = Array.from({ length: size.subsetCount }, () =>
    shuffled(train.length, next).slice(0, train.length / 2),
  );
  const retrainings = { subsets, losses: subsets.map((subset) => refit(subset.map((i) => train[i]!))) };
  const leaveOneOut = exactAgainstTruth(exact, train, losses(data, queries, theta), refit, size);
  return { leaveOneOut, ...compareMethods(block, v, exact, retrainings) };
}

function exactAgainstTruth(
  exact: readonly Float64Array[],
  train: readonly number[],
  before: Float64Array,
  refit: (records: readonly number[]) => Float64Array,
  { leaveOneOutCount }: DigitsSize,
): DigitsReport["leaveOneOut"] {
  const left = Array.from({ length: leaveOneOutCount }, (_, i) => refit(train.filter((_, j) => j !== i)));
  const perQuery = exact.map((influences, query) =>
    pearson(
      influences.subarray(0, leaveOneOutCount),
      left.map((after) => after[query]! - before[query]!),
    ),
  );
  return { mean: mean(perQuery), min: Math.min(...perQuery) };
}

function compareMethods(
  block: Block,
  v: Matrix,
  exact: readonly Float64Array[],
  retrainings: Retrainings,
): Pick<DigitsReport, "lds" | "efimRatio"> {
  const [choosing, judging] = [halfOf(retrainings, 0), halfOf(retrainings, 1)];
  const queries = rowsOf(v);
  const middle = queries.length / 2;
  const efimOf = (ratio: number) => {
    const solved = dual([block], ratio);
    return queries.map((query) => scores(solved, [query]));
  };
  const tried = dampingRatios.map((ratio) => {
    const found = efimOf(ratio);
    return {
      ratio,
      found,
      lds: mean(linearDatamodelling(found.slice(0, middle), firstQueries(choosing, middle))),
    };
  });
  const best = tried.reduce((a, b) => (b.lds > a.lds ? b : a));
  const shape = { columns: 512, nonZeros: 4, seed: 1 };
  const small = dual([projectBlock(block, shape, 0)], best.ratio);
  const judge = (found: readonly Float64Array[]) =>
    ldsInterval(found.slice(middle), lastQueries(judging, middle));
  return {
    efimRatio: best.ratio,
    lds: {
      exact: judge(exact),
      efim: judge(best.found),
      dataInf: judge(queries.map((query) => dataInf([block], [query]))),
      gradientDot: judge(queries.map((query) => scores([block], [query]))),
      projected: judge(queries.map((query) => scores(small, projectQuery([query], shape)))),
    },
  };
}

function halfOf({ subsets, losses }: Retrainings, parity: number): Retrainings {
  const keep = (_: unknown, index: number) => index % 2 === parity;
  return { subsets: subsets.filter(keep), losses: losses.filter(keep) };
}

function firstQueries(retrainings: Retrainings, count: number): Retrainings {
  return { ...retrainings, losses: retrainings.losses.map((loss) => loss.slice(0, count)) };
}

function lastQueries(retrainings: Retrainings, from: number): Retrainings {
  return { ...retrainings, losses: retrainings.losses.map((loss) => loss.slice(from)) };
}

function rowsOf(m: Matrix): Float64Array[] {
  return Array.from({ length: m.rows }, (_, index) => Float64Array.from(row(m, index)));
}

/** 0 … count − 1 in an order drawn by Fisher and Yates. */
export function shuffled(count: number, next: Generator): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor((next() / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
