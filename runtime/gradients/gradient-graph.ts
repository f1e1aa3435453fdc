import { adaptedBuild, type MakeFactor, type Targets } from "#runtime/decoder/adapted";
import { project, runSequences } from "#runtime/decoder/skeleton";
import {
  constantFloats,
  create,
  type Dim,
  type Graph,
  input,
  output,
  type Tensor,
  withoutUnused,
} from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import { gradients } from "#runtime/onnx/tape";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { projection, type Side } from "./projection.ts";

/**
 * What becomes of each sequence's gradient G[P, Q] of a factor before it leaves the graph.
 * `full`: nothing, [B, P, Q]. `projected`: L·G·Rᵀ with the seeded matrices of `projection.ts`, at most
 * [B, rows, columns]. `products`: inner products with M given gradients, inputs `query.<module>.a` and
 * `query.<module>.b` [M, P, Q] → [B, M].
 */
export type Reduction =
  | { readonly kind: "full" }
  | { readonly kind: "projected"; readonly rows: number; readonly columns: number; readonly seed: bigint }
  | { readonly kind: "products" };

/**
 * Gradients of each of B sequences on its own, in one pass. Inputs as in `trainGraph` without positions and
 * segments: every sequence is one document from position 0, padded on the right.
 * Outputs: losses[R], weight · −log p(target) in nats, and `gradient.<module>.a` and `.b` as `reduction` says:
 * row b belongs to the gradient of the sum of sequence b's losses.
 */
export function gradientGraph(folder: ModelFolder, targets: Targets, reduction: Reduction): Graph {
  const graph = create("gradients");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const targetRows = input(graph, "targetRows", "int64", ["R"]);
  const targetIds = input(graph, "targetIds", "int64", ["R"]);
  const targetWeights = input(graph, "targetWeights", "float32", ["R"]);
  const { build, factors } = adaptedBuild(graph, folder, targets, reducedBy(reduction));
  const { hidden } = runSequences(build, tokenIds, { kind: "prefix" });
  const logits = project(build, op.rows(graph, hidden, targetRows));
  const losses = op.crossEntropy(graph, logits, targetIds, targetWeights);
  const found = gradients(
    graph,
    op.sumAll(graph, losses),
    factors.map(({ factor }) => factor.target),
  );
  output(graph, "losses", losses);
  factors.forEach(({ name }, index) => {
    output(graph, `gradient.${name}`, found[index]!);
  });
  return withoutUnused(graph);
}

/** Factors that stand for one copy per sequence: their gradients are not summed over B. */
function reducedBy(reduction: Reduction): MakeFactor {
  return (graph, value) => {
    const [rows, columns] = value.shape as readonly [number, number];
    const target = (shape: readonly Dim[]): Tensor => {
      return { name: `each ${value.name}`, type: "float32", shape };
    };
    switch (reduction.kind) {
      case "full":
        return {
          value,
          target: target(["B", rows, columns]),
          outer: (left, right) => outerEach(graph, left, right),
        };
      case "projected": {
        const { left: l, right: r } = projection(value.name, [rows, columns], reduction, reduction.seed);
        return {
          value,
          target: target(["B", Math.min(rows, reduction.rows), Math.min(columns, reduction.columns)]),
          outer: (left, right) =>
            outerEach(
              graph,
              shrink(graph, `${value.name} left`, left, l),
              shrink(graph, `${value.name} right`, right, r),
            ),
        };
      }
      case "products": {
        const queries = input(graph, `query.${value.name}`, "float32", ["M", rows, columns]);
        return {
          value,
          target: target(["B", "M"]),
          outer: (left, right) => {
            const flat = op.reshape(graph, outerEach(graph, left, right), ["B", rows * columns]);
            return op.linear(graph, flat, op.reshape(graph, queries, ["M", rows * columns]));
          },
        };
      }
    }
  };
}

/** Σ over a sequence's tokens of left[N, P] ⊗ right[N, Q] → [B, P, Q], N = B·T. */
function outerEach(graph: Graph, left: Tensor, right: Tensor): Tensor {
  const spread = (x: Tensor) => op.reshape(graph, x, ["B", "T", x.shape[1]!]);
  return op.matmul(graph, op.flip(graph, spread(left)), spread(right));
}

/** x[N, P] · sideᵀ → [N, rows]. */
function shrink(graph: Graph, name: string, x: Tensor, side: Side): Tensor {
  if (side === null) return x;
  const size = Number(x.shape[1]);
  return op.linear(graph, x, constantFloats(graph, `projection ${name}`, side, [side.length / size, size]));
}
