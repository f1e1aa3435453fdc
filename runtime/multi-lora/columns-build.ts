import { type Linear, linearsOf } from "#runtime/decoder/description";
import type { MakeBuild } from "#runtime/decoder/inference-graphs";
import { frozenBuild } from "#runtime/decoder/skeleton";
import { constantFloat, type Graph, input, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";

/**
 * A build whose rows each follow an adapter of their own. The factors of all adapters in the batch lie side
 * by side as C columns: `columns.<module>.a` [C, in] and `columns.<module>.b` [C, out] (scale included), and
 * `adapterMask` [B, C] is 1 in the columns of a row's adapter, 0 elsewhere. Then
 * y = x·Wᵀ + ((x·Aᵀ) where mask, else 0)·B: two dense products and one choice for all rows, however they mix,
 * instead of gathered factors and a small product per row. A row of zeros is the base model. Columns of others
 * add exact zeros to a row even where they overflow on it: ∞·0 is no number, so masking is no product.
 */
export function columnsBuild(adaptable: (linear: Linear) => boolean): MakeBuild {
  return (graph, folder) => {
    const frozen = frozenBuild(graph, folder);
    const mask = input(graph, "adapterMask", "float32", ["B", "C"]);
    const follows = op.equal(graph, mask, constantFloat(graph, 1));
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
        const low = masked(graph, op.linear(graph, x, found.a), follows);
        return op.gemm(graph, low, found.b, { plus: base });
      },
    };
  };
}

/** low[N, C] where the sequence follows the column, else 0; N is B for a step, B·T for whole sequences. */
function masked(graph: Graph, low: Tensor, follows: Tensor): Tensor {
  const zero = constantFloat(graph, 0);
  if (low.shape[0] === "B") return op.where(graph, follows, low, zero);
  const spread = op.reshape(graph, low, ["B", "T", "C"]);
  const chosen = op.where(graph, op.unsqueeze(graph, follows, [1]), spread, zero);
  return op.reshape(graph, chosen, ["N", "C"]);
}
