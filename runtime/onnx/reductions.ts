import { mul, scale, sub } from "./elementwise.ts";
import { constantFloat, constantIntegers, type Graph, type Tensor } from "./graph.ts";
import { node } from "./node.ts";
import { record } from "./tape.ts";

/** Operations over the last axis, x[…, N]; g is the result's gradient. */

/** Σ over the last axis → […, 1]. Pullback: g spread over N. */
export function sumLast(graph: Graph, x: Tensor): Tensor {
  return record(graph, [x], reduce(graph, "ReduceSum", x), [(g) => spread(graph, g, x)]);
}

/** Mean over the last axis, whose size is static → […, 1]. Pullback: g / N spread over N. */
export function meanLast(graph: Graph, x: Tensor): Tensor {
  const count = Number(x.shape.at(-1));
  return record(graph, [x], reduce(graph, "ReduceMean", x), [
    (g) => spread(graph, scale(graph, g, 1 / count), x),
  ]);
}

/** Largest entry of the last axis → […, 1]. Used to shift exponents, so it has no derivative. */
export const maxLast = (graph: Graph, x: Tensor): Tensor => reduce(graph, "ReduceMax", x);

/** Sum of all elements → scalar. Pullback: g everywhere. */
export function sumAll(graph: Graph, x: Tensor): Tensor {
  const total = node(graph, "ReduceSum", [x], [], { keepdims: 0 });
  return record(graph, [x], total, [(g) => spread(graph, g, x)]);
}

/**
 * Softmax over the last axis → same shape. Rows with every entry −∞ give NaN.
 * Pullback: p · (g − Σ g·p).
 */
export function softmax(graph: Graph, x: Tensor): Tensor {
  const p = node(graph, "Softmax", [x], x.shape, { axis: -1 });
  return record(graph, [x], p, [
    (g) => {
      const weighted = mul(graph, g, p);
      return sub(graph, weighted, mul(graph, p, sumLast(graph, weighted)));
    },
  ]);
}

/** log(softmax) over the last axis → same shape, in nats. Pullback: g − softmax(x) · Σ g. */
export function logSoftmax(graph: Graph, x: Tensor): Tensor {
  return record(graph, [x], node(graph, "LogSoftmax", [x], x.shape, { axis: -1 }), [
    (g) => sub(graph, g, mul(graph, node(graph, "Softmax", [x], x.shape, { axis: -1 }), sumLast(graph, g))),
  ]);
}

/** A gradient repeated over the axes that a reduction of `like` had removed. */
function spread(graph: Graph, g: Tensor, like: Tensor): Tensor {
  const sizes = node(graph, "Shape", [like], [like.shape.length], {}, "int64");
  return node(graph, "Expand", [g, sizes], like.shape);
}

function reduce(graph: Graph, op: string, x: Tensor): Tensor {
  return node(graph, op, [x, constantIntegers(graph, [-1])], [...x.shape.slice(0, -1), 1]);
}

/** Zeros in the shape of x. */
export function zerosLike(graph: Graph, x: Tensor): Tensor {
  const sizes = node(graph, "Shape", [x], [x.shape.length], {}, "int64");
  return node(graph, "Expand", [constantFloat(graph, 0), sizes], x.shape);
}
