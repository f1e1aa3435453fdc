import { type Block, entryDamping, type Query, sumOverBlocks } from "./block.ts";
import { addScaled, dot, row, squaredNorms, times, type Vector } from "./matrix.ts";

/**
 * The compatibility mode: DataInf (Eq. 5, Kwon et al. 2024; the closed form that OpenLedger names), signed as all
 * scores here, positive = helped. The inverse of the mean is replaced by the mean of inverses, each by Sherman-Morrison:
 *
 *   score_k = Σₗ 1/λₗ · gₖᵀ(v − 1/n Σᵢ (v·gᵢ) / (λₗ + |gᵢ|²) · gᵢ)
 *
 * O(n·d) per query. Its operator is (I − C)/λ with trace(C) ≤ 1, so it ranks little better than the gradient dot
 * product of each block divided by λₗ. A block of zero gradients gives zero.
 */
export function dataInf(
  blocks: readonly Block[],
  query: Query,
  lambdas = dataInfDamping(blocks),
): Float64Array {
  return sumOverBlocks(blocks, query, (block, v, index) => {
    const lambda = lambdas[index]!;
    if (lambda === 0) return new Float64Array(block.rows);
    const products = times(block, v);
    const norms = squaredNorms(block);
    const direction = Float64Array.from(v);
    for (let i = 0; i < block.rows; i++) {
      addScaled(direction, row(block, i), -products[i]! / (block.rows * (lambda + norms[i]!)));
    }
    return times(block, direction).map((x) => x / lambda);
  });
}

/**
 * The same by its definition, a double sum over records: n² inner products, for checks.
 *
 *   score_k = Σₗ 1/λₗ [ v·gₖ − 1/n Σᵢ (v·gᵢ)(gᵢ·gₖ) / (λₗ + |gᵢ|²) ]
 */
export function dataInfDoubleSum(
  blocks: readonly Block[],
  query: Query,
  lambdas = dataInfDamping(blocks),
): Float64Array {
  return sumOverBlocks(blocks, query, (block, v, index) => {
    const lambda = lambdas[index]!;
    if (lambda === 0) return new Float64Array(block.rows);
    return Float64Array.from({ length: block.rows }, (_, k) => doubleSum(block, v, lambda, k));
  });
}

export function dataInfDamping(blocks: readonly Block[]): number[] {
  return blocks.map((block) => entryDamping(block));
}

function doubleSum(block: Block, v: Vector, lambda: number, k: number): number {
  const target = row(block, k);
  let total = 0;
  for (let i = 0; i < block.rows; i++) {
    const g = row(block, i);
    total += (dot(v, g) * dot(g, target)) / (lambda + dot(g, g));
  }
  return (dot(v, target) - total / block.rows) / lambda;
}
