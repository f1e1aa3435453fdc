import { invariant } from "#runtime/errors";
import { constantFloat, type Graph, type Tensor } from "./graph.ts";
import { broadcast, node } from "./node.ts";
import { record, unbroadcast } from "./tape.ts";

/** Elementwise operations; "…" is any axes, binary ones broadcast as numpy does. g is the result's gradient. */

/** x[…] + y[…] → […]. Pullbacks: g, g. */
export function add(graph: Graph, x: Tensor, y: Tensor): Tensor {
  const pull = (to: Tensor) => (g: Tensor) => unbroadcast(graph, g, to.shape);
  return record(graph, [x, y], binary(graph, "Add", x, y), [pull(x), pull(y)]);
}

/** x[…] − y[…] → […]. Pullbacks: g, −g. */
export function sub(graph: Graph, x: Tensor, y: Tensor): Tensor {
  return record(graph, [x, y], binary(graph, "Sub", x, y), [
    (g) => unbroadcast(graph, g, x.shape),
    (g) => unbroadcast(graph, neg(graph, g), y.shape),
  ]);
}

/** x[…] · y[…] → […]. Pullbacks: g·y, g·x. */
export function mul(graph: Graph, x: Tensor, y: Tensor): Tensor {
  const pull = (to: Tensor, other: Tensor) => (g: Tensor) =>
    unbroadcast(graph, mul(graph, g, other), to.shape);
  return record(graph, [x, y], binary(graph, "Mul", x, y), [pull(x, y), pull(y, x)]);
}

/** x[…] · factor → same shape. Pullback: g · factor. */
export function scale(graph: Graph, x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : mul(graph, x, constantFloat(graph, factor));
}

/** −x → same shape. Pullback: −g. */
export function neg(graph: Graph, x: Tensor): Tensor {
  return record(graph, [x], node(graph, "Neg", [x], x.shape), [(g) => neg(graph, g)]);
}

/** √x → same shape. Pullback: g / (2√x). */
export function sqrt(graph: Graph, x: Tensor): Tensor {
  const root = node(graph, "Sqrt", [x], x.shape);
  return record(graph, [x], root, [
    (g) => mul(graph, g, scale(graph, node(graph, "Reciprocal", [root], root.shape), 0.5)),
  ]);
}

/** 1 / x → same shape. Pullback: −g / x². */
export function reciprocal(graph: Graph, x: Tensor): Tensor {
  const inverse = node(graph, "Reciprocal", [x], x.shape);
  return record(graph, [x], inverse, [(g) => neg(graph, mul(graph, g, mul(graph, inverse, inverse)))]);
}

/** e^x → same shape. Pullback: g · e^x. */
export function exp(graph: Graph, x: Tensor): Tensor {
  const power = node(graph, "Exp", [x], x.shape);
  return record(graph, [x], power, [(g) => mul(graph, g, power)]);
}

/** ln x → same shape, in nats. Pullback: g / x. */
export function log(graph: Graph, x: Tensor): Tensor {
  return record(graph, [x], node(graph, "Log", [x], x.shape), [
    (g) => mul(graph, g, node(graph, "Reciprocal", [x], x.shape)),
  ]);
}

/** 1 / (1 + e^−x) → same shape. Pullback: g · s · (1 − s). */
export function sigmoid(graph: Graph, x: Tensor): Tensor {
  const s = node(graph, "Sigmoid", [x], x.shape);
  return record(graph, [x], s, [(g) => mul(graph, g, sub(graph, s, mul(graph, s, s)))]);
}

/** Hyperbolic tangent → same shape. Pullback: g · (1 − t²). */
export function tanh(graph: Graph, x: Tensor): Tensor {
  const t = node(graph, "Tanh", [x], x.shape);
  return record(graph, [x], t, [(g) => sub(graph, g, mul(graph, g, mul(graph, t, t)))]);
}

/** Error function → same shape. Pullback: g · 2/√π · e^(−x²). */
export function erf(graph: Graph, x: Tensor): Tensor {
  return record(graph, [x], node(graph, "Erf", [x], x.shape), [
    (g) => {
      const bell = exp(graph, neg(graph, mul(graph, x, x)));
      return mul(graph, g, scale(graph, bell, 2 / Math.sqrt(Math.PI)));
    },
  ]);
}

/** condition ? x : y elementwise → […]. Pullbacks: g where the branch was taken, 0 elsewhere. */
export function where(graph: Graph, condition: Tensor, x: Tensor, y: Tensor): Tensor {
  const shape = broadcast(condition.shape, broadcast(x.shape, y.shape));
  const chosen = node(graph, "Where", [condition, x, y], shape, {}, x.type);
  const zero = () => constantFloat(graph, 0);
  return record(graph, [condition, x, y], chosen, [
    undefined,
    (g) => unbroadcast(graph, where(graph, condition, g, zero()), x.shape),
    (g) => unbroadcast(graph, where(graph, condition, zero(), g), y.shape),
  ]);
}

/** x[…] ≥ y[…] → bool[…]. No derivative. */
export const greaterOrEqual = (graph: Graph, x: Tensor, y: Tensor): Tensor =>
  node(graph, "GreaterOrEqual", [x, y], broadcast(x.shape, y.shape), {}, "bool");

/** x[…] = y[…] → bool[…]. No derivative. */
export const equal = (graph: Graph, x: Tensor, y: Tensor): Tensor =>
  node(graph, "Equal", [x, y], broadcast(x.shape, y.shape), {}, "bool");

/** x[…] ∧ y[…] → bool[…]. No derivative. */
export const and = (graph: Graph, x: Tensor, y: Tensor): Tensor =>
  node(graph, "And", [x, y], broadcast(x.shape, y.shape), {}, "bool");

/** Convert to float32; same shape. Has no derivative: what is converted is weights, indices and masks. */
export function cast(graph: Graph, x: Tensor, type: "float32"): Tensor {
  return x.type === type ? x : node(graph, "Cast", [x], x.shape, { to: 1 }, type);
}

function binary(graph: Graph, op: string, x: Tensor, y: Tensor): Tensor {
  invariant(x.type === y.type, `${op} of ${x.type} and ${y.type}`);
  return node(graph, op, [x, y], broadcast(x.shape, y.shape));
}
