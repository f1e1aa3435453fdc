import type { Block } from "../influence/block.ts";
import { dataInfDamping } from "../influence/datainf.ts";
import { dual } from "../influence/efim.ts";
import { addScaled, gram, type Matrix, matrix, row, squaredNorms } from "../influence/matrix.ts";

/**
 * How the influence of training records is measured, by the name that stands in the method string. Each is linear in the
 * query's gradient, so that all a store keeps is one matrix A per LoRA factor, and a query costs one product A·v:
 * - `efim-dual`, the default: A = n(K + nλI)⁻¹G, the exact damped empirical Fisher.
 * - `datainf`, for comparison with what OpenLedger names: A = (G − K·D·G/n)/λ, D = diag 1/(λ + |gᵢ|²).
 * - `grad-dot`, TracIn at the last checkpoint: A = G.
 */
export const influenceMethods = ["efim-dual", "datainf", "grad-dot"] as const;
export type InfluenceMethod = (typeof influenceMethods)[number];

/** What a store keeps of one block of gradients. `ratio` is the training's damping; `datainf` has its authors' own. */
export function solveBlock(method: InfluenceMethod, block: Block, ratio: number): Matrix {
  if (method === "efim-dual") return dual([block], ratio)[0]!;
  if (method === "grad-dot") return block;
  return solveDataInf(block);
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
