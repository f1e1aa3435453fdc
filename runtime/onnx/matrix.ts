import { invariant } from "#runtime/errors";
import type { Graph, Tensor } from "./graph.ts";
import { transpose } from "./layout.ts";
import { broadcast, node } from "./node.ts";
import { record, unbroadcast } from "./tape.ts";

/** How `gemm` reads its arguments. X and Y are used transposed where asked; C is broadcast to the result. */
export interface GemmOptions {
  readonly transposeX?: boolean;
  readonly transposeY?: boolean;
  /** Factor of the product, 1 by default. */
  readonly alpha?: number;
  /** Added to the product: [columns] or [rows, columns]. */
  readonly plus?: Tensor;
}

/**
 * α · X·Y + C → [M, N] for matrices X[M, K] and Y[K, N], each given transposed if the options say so.
 * Pullbacks are products of the same kind, so a weight stored [out, in] serves both directions as it lies.
 */
export function gemm(graph: Graph, x: Tensor, y: Tensor, options: GemmOptions = {}): Tensor {
  const { transposeX = false, transposeY = false, alpha = 1, plus } = options;
  const [m, k] = sides(x, transposeX);
  const [inner, n] = sides(y, transposeY);
  invariant(k === inner, `gemm ${x.shape} by ${y.shape}`);
  const attributes = {
    ...(alpha === 1 ? {} : { alpha: { float: alpha } }),
    ...(transposeX ? { transA: 1 } : {}),
    ...(transposeY ? { transB: 1 } : {}),
  };
  const inputs = plus ? [x, y, plus] : [x, y];
  const product = node(graph, "Gemm", inputs, [m, n], attributes);
  const pulls = [
    (g: Tensor) =>
      transposeX
        ? gemm(graph, y, g, { transposeX: transposeY, transposeY: true, alpha })
        : gemm(graph, g, y, { transposeY: !transposeY, alpha }),
    (g: Tensor) =>
      transposeY
        ? gemm(graph, g, x, { transposeX: true, transposeY: transposeX, alpha })
        : gemm(graph, x, g, { transposeX: !transposeX, alpha }),
    (g: Tensor) => unbroadcast(graph, g, plus?.shape ?? []),
  ];
  return record(graph, inputs, product, pulls.slice(0, inputs.length));
}

/** x[N, I] · w[O, I]ᵀ (+ bias[O]) → [N, O]: a linear layer with its weight as Hugging Face stores it. */
export function linear(graph: Graph, x: Tensor, w: Tensor, bias?: Tensor): Tensor {
  invariant(x.shape.length === 2 && w.shape.length === 2, "linear takes matrices");
  invariant(x.shape[1] === w.shape[1], `linear ${x.shape} by ${w.shape}`);
  return gemm(graph, x, w, { transposeY: true, ...(bias ? { plus: bias } : {}) });
}

/** x[…, M, K] · y[…, K, N] → […, M, N]; leading axes broadcast. Pullbacks: g·yᵀ, xᵀ·g. */
export function matmul(graph: Graph, x: Tensor, y: Tensor): Tensor {
  const inner = x.shape.at(-1);
  invariant(inner !== undefined && inner === y.shape.at(-2), `matmul ${x.shape} by ${y.shape}`);
  const leading = broadcast(x.shape.slice(0, -2), y.shape.slice(0, -2));
  const shape = [...leading, x.shape.at(-2) ?? 1, y.shape.at(-1) ?? 1];
  return record(graph, [x, y], node(graph, "MatMul", [x, y], shape), [
    (g) => unbroadcast(graph, matmul(graph, g, flip(graph, y)), x.shape),
    (g) => unbroadcast(graph, matmul(graph, flip(graph, x), g), y.shape),
  ]);
}

/** Swap the last two axes: x[…, M, N] → […, N, M]. */
export function flip(graph: Graph, x: Tensor): Tensor {
  const rank = x.shape.length;
  const order = Array.from({ length: rank }, (_, axis) => axis);
  return transpose(graph, x, [...order.slice(0, -2), rank - 1, rank - 2]);
}

function sides(
  x: Tensor,
  isTransposed: boolean,
): readonly [Tensor["shape"][number], Tensor["shape"][number]] {
  const [first, second] = x.shape;
  invariant(x.shape.length === 2 && first !== undefined && second !== undefined, "gemm takes matrices");
  return isTransposed ? [second, first] : [first, second];
}
