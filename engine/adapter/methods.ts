import { PipelineError } from "#schema/errors";
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
 * - `hybrid`: `efim-dual`, averaged with the similarity of the texts on its scale (`influence/trajectory.ts`). It ranks records
 *   best in the measurements, and is in part no cause: the influence says so by its name.
 */
export const influenceMethods = ["efim-dual", "datainf", "grad-dot", "hybrid"] as const;
export type InfluenceMethod = (typeof influenceMethods)[number];

/** Methods a store is made for. */
export type StoreMethod = Exclude<InfluenceMethod, "hybrid">;

/** Why the other methods of `influence/` cannot be had: a training's payload (kind 4, version 1) holds its last adapter alone. */
const unavailable: Record<string, string> = {
  tracin: "it takes the adapter at checkpoints of the training; at the last one it is grad-dot",
  less: "it takes checkpoints of the training and the state of its optimizer",
  trak: "it takes several trainings of the same records",
};

/** @throws InfluenceMethodError naming what the method lacks, or those there are. */
export function influenceMethodFrom(name: string): InfluenceMethod {
  const found = influenceMethods.find((method) => method === name);
  if (found === undefined) throw new InfluenceMethodError(name, unavailable[name.toLowerCase()]);
  return found;
}

/** The store whose scores a method starts from. */
export function storeMethodOf(method: InfluenceMethod): StoreMethod {
  return method === "hybrid" ? "efim-dual" : method;
}

/** What a store keeps of one block of gradients. `ratio` is the training's damping; `datainf` has its authors' own. */
export function solveBlock(method: StoreMethod, block: Block, ratio: number): Matrix {
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

export class InfluenceMethodError extends PipelineError {
  override readonly name = "InfluenceMethodError";
  constructor(name: string, lack: string | undefined) {
    const why =
      lack === undefined
        ? "There is no such method."
        : `The payload of a training holds the adapter as it ended alone: ${lack}.`;
    super(`INFLUENCE_METHOD ${name}: ${why} Choose one of ${influenceMethods.join(", ")}.`, {
      code: "influence_method",
      retryable: false,
    });
  }
}
