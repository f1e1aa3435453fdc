import { invariant, PipelineError } from "#schema/errors";
import { type Matrix, mean, squaredNorms, type Vector } from "./matrix.ts";

/**
 * Gradients in one LoRA matrix (a factor A or B of one module): a row per record, in the order of the record ids.
 * All methods sum over blocks, because curvature between LoRA matrices is left out. A score is in nats times records:
 * taking record i out of training raises the query's −log p by about score ÷ n.
 */
export type Block = Matrix;

/** The query's gradient −∇ log p(answer), a vector for each block. */
export type Query = readonly Vector[];

/** Damping of a block in proportion to its own size: λ = ratio · meanᵢ |gᵢ|². */
export function damping(block: Block, ratio: number): number {
  return ratio * mean(squaredNorms(block));
}

/** DataInf's damping: λ = ratio · mean of all squared entries (0.1 in its authors' code). Kwon et al. 2024, §4. */
export function entryDamping(block: Block, ratio = 0.1): number {
  return damping(block, ratio) / block.columns;
}

/** Σ over blocks of what `score` gives for each; all blocks have the same records. */
export function sumOverBlocks(
  blocks: readonly Block[],
  query: Query,
  score: (block: Block, v: Vector, index: number) => Float64Array,
): Float64Array {
  invariant(blocks.length === query.length, `${blocks.length} blocks, ${query.length} query vectors`);
  const records = blocks[0]?.rows ?? 0;
  const total = new Float64Array(records);
  blocks.forEach((block, index) => {
    invariant(block.rows === records, "every block has a row per record");
    const part = score(block, query[index]!, index);
    for (let i = 0; i < records; i++) total[i]! += part[i]!;
  });
  return total;
}

/** Refuse a gradient that is no number: one NaN in a record would spread to every record's score. */
export function assertFinite(block: Block, recordIds: readonly string[]): void {
  for (let i = 0; i < block.values.length; i++) {
    if (!Number.isFinite(block.values[i]!)) {
      throw new GradientNotFiniteError(
        recordIds[Math.floor(i / block.columns)] ?? "unknown",
        block.values[i]!,
      );
    }
  }
}

export class GradientNotFiniteError extends PipelineError {
  override readonly name = "GradientNotFiniteError";
  constructor(recordId: string, value: number) {
    super(`the gradient of record ${recordId} is not finite: ${value}`, {
      code: "gradient-not-finite",
      retryable: false,
    });
  }
}
