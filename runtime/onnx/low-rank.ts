import { scale } from "./elementwise.ts";
import type { Graph, Tensor } from "./graph.ts";
import { gemm } from "./matrix.ts";
import { dequantised, isQuantised, type QuantisedMatrix, quantisedLinear } from "./quantised.ts";
import { again } from "./recompute.ts";
import { record, unrecorded } from "./tape.ts";

/** A frozen weight and how it lies: [O, I] as most models store it, or [I, O] as GPT-2 does. */
export interface FrozenLinear {
  readonly weight: Tensor | QuantisedMatrix;
  readonly lies: "out-in" | "in-out";
  /** [O] */
  readonly bias?: Tensor;
}

/** A low-rank change of a frozen layer: W becomes W + scale · B·A. Source: Hu et al. 2021, §4.1. */
export interface LowRank {
  readonly a: Factor;
  readonly b: Factor;
  /** α / r, or α / √r for rank-stabilised adapters. */
  readonly scale: number;
}

/**
 * A[r, I] or B[O, r], and what stands for its derivative. Both gradients are sums of outer products over
 * rows, Σ left[n] ⊗ right[n]; `outer` forms them from left[N, P] and right[N, Q]. The plain sum is the
 * gradient itself; purposes that need it per sequence, projected or multiplied further say so here, and
 * `target` is then a tensor of the resulting shape that nothing computes, only a name to differentiate by.
 */
export interface Factor {
  readonly value: Tensor;
  readonly target: Tensor;
  readonly outer: (left: Tensor, right: Tensor) => Tensor;
}

/** A factor whose gradient is summed over all rows, in the shape of its value. */
export function summed(graph: Graph, value: Tensor): Factor {
  return { value, target: value, outer: (left, right) => gemm(graph, left, right, { transposeX: true }) };
}

/** x[N, I] · Wᵀ + bias → [N, O]. Pullback x: g·W. */
export function frozenLinear(graph: Graph, x: Tensor, { weight, lies, bias }: FrozenLinear): Tensor {
  if (isQuantised(weight)) return quantisedLinear(graph, x, weight, bias);
  return gemm(graph, x, weight, { transposeY: lies === "out-in", ...(bias ? { plus: bias } : {}) });
}

/** g[N, O] · W → [N, I]: what `frozenLinear` pulls back. */
function pullFrozen(graph: Graph, g: Tensor, { weight, lies }: FrozenLinear): Tensor {
  if (isQuantised(weight)) return gemm(graph, g, dequantised(graph, weight));
  return gemm(graph, g, weight, { transposeY: lies === "in-out" });
}

/**
 * x[N, I] · (W + scale · B·A)ᵀ + bias → [N, O], W and bias frozen. With h = x·Aᵀ and d = scale · g·B:
 * pullbacks x: g·W + d·A, A: dᵀ·x, B: scale · gᵀ·h. A sum of two products is one product with its C.
 */
export function adaptedLinear(graph: Graph, x: Tensor, frozen: FrozenLinear, change: LowRank): Tensor {
  const { a, b, scale: alpha } = change;
  const [output, h] = unrecorded(graph, () => {
    const low = gemm(graph, x, a.value, { transposeY: true });
    const plus = frozenLinear(graph, x, frozen);
    return [gemm(graph, low, b.value, { transposeY: true, alpha, plus }), low] as const;
  });
  const narrowed = new Map<string, Tensor>();
  const narrow = (g: Tensor) => {
    const d = narrowed.get(g.name) ?? gemm(graph, g, b.value, { alpha });
    narrowed.set(g.name, d);
    return d;
  };
  const pullX = (g: Tensor) => {
    return gemm(graph, narrow(g), a.value, { plus: pullFrozen(graph, g, frozen) });
  };
  return record(graph, [x, a.target, b.target], output, [
    pullX,
    (g) => a.outer(narrow(g), again(graph, x, g)),
    (g) => b.outer(g, scale(graph, h, alpha)),
  ]);
}
