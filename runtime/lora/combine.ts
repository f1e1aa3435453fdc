import { excerpt } from "#runtime/errors";
import { isObject } from "#runtime/request";
import { type Adapter, AdapterError, checkAdapter, type LoraModule, rankMax, scaleOf } from "./adapter.ts";
import { decomposeQr, decomposeSingular, type Matrix, multiply, norm, transpose } from "./decomposition.ts";
import { type FactorMethod, mixFactors, type Term } from "./factor-mix.ts";

/** An adapter and how much of it: any finite number, negative to take it away. */
export interface WeightedAdapter {
  readonly adapter: Adapter;
  readonly weight: number;
}

/**
 * How adapters become one. What is wanted is Σ wᵢ·sᵢ·Bᵢ·Aᵢ; `combinationError` says how far a result is from it.
 * - `cat`: exact; rank is the sum of ranks.
 * - `svd`: the nearest of the given rank (Eckart & Young 1936); exact where the rank reaches the sum of ranks.
 *   Default rank: the largest of the adapters'.
 * - the others mix A with A and B with B, which is cheap and needs equal ranks, but not the sum wanted.
 */
export type CombineMethod =
  | { readonly type: "cat" }
  | { readonly type: "svd"; readonly rank?: number }
  | FactorMethod;

/** Most adapters in one combination. */
export const partsMax = 256;

/** Largest sum of ranks for `svd`, whose time grows with its cube: at this one, seconds for each module. */
export const svdRankSumMax = 256;

/**
 * Combine adapters for one base model into one. A module that only some of them adapt is combined from those.
 * Runs on the caller's thread, `svd` of large models for minutes: give it a worker.
 * The result has alpha = rank, so its scale is 1, and takes the base model's name from the first. Pure; the same
 * input gives the same bits on every machine.
 * Source of the formulas: PEFT 0.21, `LoraModel.add_weighted_adapter`; differences are in the README.
 * @throws AdapterError `adapter-merge-invalid`, or `adapter-mismatch` naming the module whose sizes differ.
 */
export function combine(parts: readonly WeightedAdapter[], method: CombineMethod): Adapter {
  checkParts(parts);
  const join = joinerOf(method);
  const modules = new Map(moduleNames(parts).map((name) => [name, join(name, termsOf(parts, name))]));
  const [first] = parts as [WeightedAdapter];
  const rank = Math.max(...[...modules.values()].map((module) => module.rank));
  const adapter: Adapter = {
    baseModel: first.adapter.baseModel,
    rank,
    alpha: rank,
    isRankStabilized: false,
    isTransposed: first.adapter.isTransposed,
    targetModules: [...new Set(parts.flatMap((part) => part.adapter.targetModules))],
    modules,
  };
  checkAdapter(adapter);
  return adapter;
}

/** ‖result − Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖ / ‖Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖ in the Frobenius norm over all modules; 0 is exact. Pure. */
export function combinationError(parts: readonly WeightedAdapter[], result: Adapter): number {
  let [difference, size] = [0, 0];
  for (const name of moduleNames(parts)) {
    const wanted = termsOf(parts, name);
    const made = termsOf([{ adapter: result, weight: -1 }], name);
    difference += squaredNorm([...wanted, ...made]);
    size += squaredNorm(wanted);
  }
  // Parts that cancel out leave nothing to compare with: then any difference is infinitely large.
  if (size === 0) return difference === 0 ? 0 : Infinity;
  return Math.sqrt(difference / size);
}

function joinerOf(method: CombineMethod): (name: string, terms: readonly Term[]) => LoraModule {
  if (!isObject(method)) throw invalid("method", `an object with its type. Given: ${excerpt(method)}`);
  switch (method.type) {
    case "cat":
      return (_, terms) => concatenate(terms);
    case "svd": {
      const { rank } = method;
      if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1)) {
        throw invalid("rank", `a whole number from 1. Given: ${rank}`);
      }
      return (name, terms) => truncate(name, terms, rank);
    }
    default:
      return mixFactors(method);
  }
}

function termsOf(parts: readonly WeightedAdapter[], name: string): Term[] {
  return parts.flatMap(({ adapter, weight }) => {
    const module = adapter.modules.get(name);
    return module === undefined ? [] : [{ module, factor: weight * scaleOf(adapter, module) }];
  });
}

function concatenate(terms: readonly Term[]): LoraModule {
  const { a, b } = stack(terms);
  return toModule(b, a);
}

/** The nearest matrix of a rank: by the singular values of the small matrix between two orthogonal ones. */
function truncate(name: string, terms: readonly Term[], wanted: number | undefined): LoraModule {
  const { a, b } = stack(terms);
  if (a.rows > svdRankSumMax) {
    throw invalid(name, `the ranks add up to too much for svd. Max: ${svdRankSumMax}. Given: ${a.rows}`);
  }
  const { q: qb, r: rb } = decomposeQr(b);
  const { q: qa, r: ra } = decomposeQr(transpose(a));
  const { left, singular, right } = decomposeSingular(multiply(rb, transpose(ra)));
  const rank = Math.min(wanted ?? Math.max(...terms.map(({ module }) => module.rank)), singular.length);
  const scaled = {
    ...left,
    values: left.values.map((value, index) => value * singular[index % left.columns]!),
  };
  return toModule(
    firstColumns(multiply(qb, scaled), rank),
    transpose(firstColumns(multiply(qa, right), rank)),
  );
}

/** All A below one another, times their factors, and all B side by side: b · a is the sum wanted. */
function stack(terms: readonly Term[]): { a: Matrix; b: Matrix } {
  const rank = terms.reduce((sum, { module }) => sum + module.rank, 0);
  const { inSize, outSize } = terms[0]!.module;
  const a = new Float64Array(rank * inSize);
  const b = new Float64Array(outSize * rank);
  let start = 0;
  for (const { module, factor } of terms) {
    module.a.forEach((value, index) => {
      a[start * inSize + index] = value * factor;
    });
    module.b.forEach((value, index) => {
      const row = Math.floor(index / module.rank);
      b[row * rank + start + (index % module.rank)] = value;
    });
    start += module.rank;
  }
  return { a: { rows: rank, columns: inSize, values: a }, b: { rows: outSize, columns: rank, values: b } };
}

function squaredNorm(terms: readonly Term[]): number {
  if (terms.length === 0) return 0;
  const { a, b } = stack(terms);
  const length = norm(multiply(decomposeQr(b).r, transpose(decomposeQr(transpose(a)).r)).values);
  return length * length;
}

function firstColumns({ rows, columns, values }: Matrix, count: number): Matrix {
  return { rows, columns: count, values: values.filter((_, index) => index % columns < count) };
}

function toModule(b: Matrix, a: Matrix): LoraModule {
  return {
    rank: a.rows,
    alpha: a.rows,
    inSize: a.columns,
    outSize: b.rows,
    a: Float32Array.from(a.values),
    b: Float32Array.from(b.values),
  };
}

/** Ascending, so that no order of insertion decides anything. */
function moduleNames(parts: readonly WeightedAdapter[]): string[] {
  return [...new Set(parts.flatMap(({ adapter }) => [...adapter.modules.keys()]))].toSorted();
}

function checkParts(parts: readonly WeightedAdapter[]): void {
  if (!Array.isArray(parts) || !Array.from(parts).every(isObject)) {
    throw invalid("adapters", "a list of { adapter, weight } is needed");
  }
  if (parts.length < 1 || parts.length > partsMax) {
    throw invalid("adapters", `1 to ${partsMax} of them can be combined. Given: ${parts.length}`);
  }
  const stray = parts.find(({ weight }) => !Number.isFinite(weight));
  if (stray) throw invalid("weight", `is a finite number. Given: ${excerpt(stray.weight)}`);
  for (const { adapter } of parts) checkAdapter(adapter);
  const [first] = parts as [WeightedAdapter];
  if (parts.some(({ adapter }) => adapter.isTransposed !== first.adapter.isTransposed)) {
    throw invalid("fan_in_fan_out", "the adapters differ in it, so they are for different base models");
  }
  for (const name of moduleNames(parts)) checkSizes(name, termsOf(parts, name));
}

function checkSizes(name: string, terms: readonly Term[]): void {
  const [{ module }] = terms as [Term];
  for (const { module: other } of terms) {
    if (other.inSize === module.inSize && other.outSize === module.outSize) continue;
    const sizes = [module, other].map(({ inSize, outSize }) => `[${outSize},${inSize}]`).join(" and ");
    throw new AdapterError("adapter-mismatch", name, `the adapters are for matrices of ${sizes}`);
  }
  const rank = terms.reduce((sum, term) => sum + term.module.rank, 0);
  if (rank > rankMax) throw invalid(name, `the ranks add up to too much. Max: ${rankMax}. Given: ${rank}`);
}

function invalid(key: string, reason: string): AdapterError {
  return new AdapterError("adapter-merge-invalid", key, reason);
}
