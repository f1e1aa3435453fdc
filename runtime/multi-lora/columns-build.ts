import { type Linear, linearsOf } from "#runtime/decoder/description";
import type { MakeBuild } from "#runtime/decoder/inference-graphs";
import { frozenBuild } from "#runtime/decoder/skeleton";
import { type Graph, input, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";

/**
 * A build whose rows each follow an adapter of their own. The factors of all adapters in the batch lie side
 * by side as C columns: `columns.<module>.a` [C, in] and `columns.<module>.b` [C, out] (scale included), and
 * `adapterMask` [B, C] is 1 in the columns of a row's adapter, 0 elsewhere. Then
 * y = x·Wᵀ + ((x·Aᵀ) ∘ mask)·B: two dense products and one mask for all rows, however they mix, instead of
 * gathered factors and a small product per row. A row of zeros is the base model, and what other rows do
 * adds exact zeros to it.
 */
export function columnsBuild(adaptable: (linear: Linear) => boolean): MakeBuild {
  return (graph, folder) => {
    const frozen = frozenBuild(graph, folder);
    const mask = input(graph, "adapterMask", "float32", ["B", "C"]);
    const factors = new Map(
      linearsOf(folder.config)
        .filter(adaptable)
        .map(({ name, inSize, outSize }) => [
          name,
          {
            a: input(graph, `columns.${name}.a`, "float32", ["C", inSize]),
            b: input(graph, `columns.${name}.b`, "float32", ["C", outSize]),
          },
        ]),
    );
    return {
      ...frozen,
      apply: (linear, x) => {
        const base = frozen.apply(linear, x);
        const found = factors.get(linear.name);
        if (!found) return base;
        const low = masked(graph, op.linear(graph, x, found.a), mask);
        return op.gemm(graph, low, found.b, { plus: base });
      },
    };
  };
}

/** low[N, C] times each sequence's mask; N is B for a step, B·T for whole sequences. */
function masked(graph: Graph, low: Tensor, mask: Tensor): Tensor {
  if (low.shape[0] === "B") return op.mul(graph, low, mask);
  const spread = op.reshape(graph, low, ["B", "T", "C"]);
  return op.reshape(graph, op.mul(graph, spread, op.unsqueeze(graph, mask, [1])), ["N", "C"]);
}
