import { invariant } from "#schema/errors";
import type { Block, Query } from "../influence/block.ts";
import { factor, solveColumns } from "../influence/cholesky.ts";
import { dataInfDamping } from "../influence/datainf.ts";
import { dual } from "../influence/efim.ts";
import {
  addScaled,
  dot,
  gram,
  type Matrix,
  matrix,
  mean,
  row,
  squaredNorms,
  type Vector,
} from "../influence/matrix.ts";
import { type AdamState, adamDirection } from "../influence/trajectory.ts";
import { complement } from "../influence/trak.ts";
import type { StoreMethod } from "./methods.ts";

/** What all records are at one state of a training: as it ended, or at a waypoint. */
export type RecordState = {
  /** Gradients G of the records' losses, one block per LoRA matrix. */
  readonly blocks: readonly Block[];
  /** Σ −log p of each record's answers, in nats. */
  readonly losses: Vector;
  /** Of the update that led there, and Adam's means after it, one per block; only waypoints have them. */
  readonly learningRate: number;
  readonly moments: readonly AdamState[] | null;
};

/**
 * What a store keeps of a training, a matrix A per LoRA factor of each state, in their order: the scores of a query are
 * Σ A·v over the gradients v that `queryOf` gives. n records, λ = ratio · mean |g|² of a block, `ratio` the training's damping.
 * - `efim-dual`: A = n(K + nλI)⁻¹G, K = GGᵀ.
 * - `datainf`: A = (G − K·D·G/n)/λ', D = diag 1/(λ' + |gᵢ|²), its authors' λ'.
 * - `grad-dot`: A = G.
 * - `trak`: A = n·Q(ΦΦᵀ + nλI)⁻¹Φ over all blocks together, φᵢ = gᵢ/(1 − pᵢ), Q = diag(1 − pᵢ), 1 − p at
 *   least 1e-6: what `trak` of influence/ gives without projection, with `ratio` times the columns for ridge, times n(1 − p) of the query: the effect on its log p.
 * - `tracin`: A = n·ηₜG(t). Its paper's value is nats already: what the record's visits took off the query's loss.
 * - `less`: A = n·ηₜu/|u|, u Adam's step for a record over all blocks; `v` has length 1. A sum of cosines, no nats.
 * The first four say by ÷ n what leaving a record out costs. `efim-primal` keeps no A (fisher.ts). Pure.
 */
export function solve(
  method: Exclude<StoreMethod, "efim-primal">,
  states: readonly RecordState[],
  ratio: number,
): Matrix[] {
  const [first] = states;
  invariant(first !== undefined, "a training has a state");
  if (method === "tracin") return states.flatMap(tracInStates);
  if (method === "less") return states.flatMap(lessStates);
  if (method === "trak") return solveTrak(first, ratio);
  return first.blocks.map((block) => solveBlock(method, block, ratio));
}

/** A query's gradients at each state, as the method multiplies them. Pure. */
export function queryOf(method: StoreMethod, states: readonly Query[]): Query {
  return method === "less" ? states.flatMap(unit) : states.flat();
}

/** One block of the methods that look at each block alone. */
export function solveBlock(
  method: Exclude<StoreMethod, "trak" | "tracin" | "less" | "efim-primal">,
  block: Block,
  ratio: number,
): Matrix {
  if (method === "efim-dual") return dual([block], ratio)[0]!;
  return method === "grad-dot" ? block : solveDataInf(block);
}

function solveDataInf(block: Block): Matrix {
  const n = block.rows;
  const lambda = dataInfDamping([block])[0]!;
  const solved = matrix(n, block.columns);
  if (lambda === 0) return solved;
  const products = gram(block);
  const norms = squaredNorms(block);
  for (let k = 0; k < n; k++) {
    const target = row(solved, k);
    target.set(row(block, k));
    for (let i = 0; i < n; i++) {
      addScaled(target, row(block, i), -products.values[k * n + i]! / (n * (lambda + norms[i]!)));
    }
    for (let j = 0; j < target.length; j++) target[j]! /= lambda;
  }
  return solved;
}

/** Least 1 − p that a sum of float32 losses can tell from zero. */
const complementMin = 1e-6;

function solveTrak({ blocks, losses }: RecordState, ratio: number): Matrix[] {
  const complements = Array.from(losses, (loss) => Math.max(complement(-loss), complementMin));
  const margins = blocks.map((block) => scaledRows(block, (i) => 1 / complements[i]!));
  const n = margins[0]!.rows;
  const products = matrix(n, n);
  for (const margin of margins) addScaled(products.values, gram(margin).values, 1);
  const lambda = ratio * mean(Array.from({ length: n }, (_, i) => products.values[i * n + i]!));
  if (lambda === 0) return margins;
  const lower = factor(products, n * lambda);
  return margins.map((margin) => scaledRows(solveColumns(lower, margin), (i) => n * complements[i]!));
}

function tracInStates({ blocks, learningRate }: RecordState): Matrix[] {
  return blocks.map((block) => scaledRows(block, () => block.rows * learningRate));
}

function lessStates({ blocks, learningRate, moments }: RecordState): Matrix[] {
  invariant(moments?.length === blocks.length, "Adam's means of each block");
  const steps = blocks.map((block, at) => {
    const found = matrix(block.rows, block.columns);
    for (let i = 0; i < block.rows; i++) row(found, i).set(stepOf(row(block, i), moments[at]!));
    return found;
  });
  const lengths = squaredLengths(steps).map(Math.sqrt);
  return steps.map((step) =>
    scaledRows(step, (i) => (lengths[i] === 0 ? 0 : (step.rows * learningRate) / lengths[i]!)),
  );
}

/** A record that teaches nothing moves nothing, whatever the means would do on their own. */
function stepOf(gradient: Vector, moments: AdamState): Vector {
  return gradient.every((x) => x === 0) ? gradient : adamDirection(gradient, moments);
}

function squaredLengths(blocks: readonly Block[]): number[] {
  const norms = blocks.map(squaredNorms);
  return Array.from({ length: blocks[0]!.rows }, (_, i) => norms.reduce((total, of) => total + of[i]!, 0));
}

function unit(query: Query): Query {
  const length = Math.sqrt(query.reduce((total, v) => total + dot(v, v), 0));
  return query.map((v) => Float64Array.from(v, (x) => (length === 0 ? 0 : x / length)));
}

function scaledRows(block: Block, scaleOf: (i: number) => number): Matrix {
  const scaled = matrix(block.rows, block.columns);
  for (let i = 0; i < block.rows; i++) addScaled(row(scaled, i), row(block, i), scaleOf(i));
  return scaled;
}
