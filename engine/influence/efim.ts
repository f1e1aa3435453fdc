import { type Block, damping, type Query, sumOverBlocks } from "./block.ts";
import { factor, solve, solveColumns } from "./cholesky.ts";
import { covariance, gram, type Matrix, matrix, times } from "./matrix.ts";

/** Most records the dual form solves for: the Gram matrix is records² float64 (800 MB), its factor as much again. */
export const dualRecordsMax = 10_000;

/**
 * The default: influence under the exact damped empirical Fisher information of each LoRA matrix,
 *
 *   score = Σₗ Gₗ (GₗᵀGₗ/n + λₗI)⁻¹ vₗ = Σₗ n (Kₗ + nλₗI)⁻¹ Gₗ vₗ,   Kₗ = Gₗ Gₗᵀ
 *
 * (push-through identity). This solves once, n³/6 + n²d per block, and returns Aₗ = n (Kₗ + nλₗI)⁻¹ Gₗ; a query then
 * costs one product Aₗ·vₗ, as much as a gradient dot product. λₗ = ratio · meanᵢ |gₗᵢ|², the ratio chosen on queries
 * held out. Where all of a block's gradients are zero it says nothing: Aₗ = 0. Agrees with `primal` to 1e-9 relative.
 */
export function dual(blocks: readonly Block[], ratio: number): Block[] {
  return blocks.map((block) => {
    const n = block.rows;
    const lambda = damping(block, ratio);
    if (lambda === 0) return matrix(n, block.columns);
    const solved = solveColumns(factor(gram(block), n * lambda), block);
    for (let i = 0; i < solved.values.length; i++) solved.values[i]! *= n;
    return solved;
  });
}

/** Σₗ Aₗ·vₗ: scores of all records for one query under solved blocks, or the gradient dot product under plain ones. */
export function scores(blocks: readonly Block[], query: Query): Float64Array {
  return sumOverBlocks(blocks, query, times);
}

/**
 * The same scores for trying several dampings: sums once, then per ratio k³/6 and per query and block n·d + k², where k is
 * the lesser of records and columns and `dual` solves for every column. Agrees with `dual` to 1e-9 relative.
 */
export function scoresByRatio(blocks: readonly Block[]): (ratio: number) => (query: Query) => Float64Array {
  const sums = blocks.map((block) => (block.columns < block.rows ? covariance(block) : gram(block)));
  return (ratio) => {
    const lowers = blocks.map((block, index) => {
      const lambda = damping(block, ratio);
      return lambda === 0 ? null : factor(sums[index]!, block.rows * lambda);
    });
    return (query) =>
      sumOverBlocks(blocks, query, (block, v, index) => {
        const lower = lowers[index]!;
        if (lower === null) return new Float64Array(block.rows);
        const found =
          block.columns < block.rows ? times(block, solve(lower, v)) : solve(lower, times(block, v));
        return found.map((x) => x * block.rows);
      });
  };
}

/** A block in primal form: gradients, and the Cholesky factor of GᵀG/n + λI; null where all gradients are zero. */
export type PrimalBlock = { readonly block: Block; readonly fisher: Matrix | null };

/**
 * The same influence in primal form, for more records than `dualRecordsMax` and gradients projected to k columns
 * (`projection.ts`): k³/6 once, k² + n·k per query, and records may be appended to the sums.
 */
export function primal(blocks: readonly Block[], ratio: number): PrimalBlock[] {
  return blocks.map((block) => {
    const lambda = damping(block, ratio);
    if (lambda === 0) return { block, fisher: null };
    const sums = covariance(block);
    const averaged = matrix(sums.rows, sums.columns, sums.values.map((x) => x / block.rows) as Float64Array);
    return { block, fisher: factor(averaged, lambda) };
  });
}

/** Σₗ Gₗ·(Fₗ + λₗI)⁻¹vₗ. */
export function primalScores(blocks: readonly PrimalBlock[], query: Query): Float64Array {
  return sumOverBlocks(
    blocks.map(({ block }) => block),
    query,
    (block, v, index) => {
      const fisher = blocks[index]!.fisher;
      return fisher === null ? new Float64Array(block.rows) : times(block, solve(fisher, v));
    },
  );
}
