import { invariant } from "#runtime/errors";
import {
  constantIntegers,
  type Dim,
  type ElementType,
  emit,
  type Graph,
  share,
  type Tensor,
} from "./graph.ts";

/**
 * Primitive operations over graph tensors. Each appends ONNX nodes and returns the result with its
 * inferred shape. Letters in docblocks are axis sizes; "…" is any leading axes. Shapes that do not
 * fit are our bug and fail an invariant while the graph is built, never when it runs.
 */

/** x[…] + y[…] → […], with numpy broadcasting. */
export const add = (graph: Graph, x: Tensor, y: Tensor): Tensor => elementwise(graph, "Add", x, y);

/** x[…] − y[…] → […], with numpy broadcasting. */
export const sub = (graph: Graph, x: Tensor, y: Tensor): Tensor => elementwise(graph, "Sub", x, y);

/** x[…] · y[…] elementwise → […], with numpy broadcasting. */
export const mul = (graph: Graph, x: Tensor, y: Tensor): Tensor => elementwise(graph, "Mul", x, y);

/** x[…] ≥ y[…] → bool[…], with numpy broadcasting. */
export const greaterOrEqual = (graph: Graph, x: Tensor, y: Tensor): Tensor =>
  single(graph, "GreaterOrEqual", [x, y], broadcast(x.shape, y.shape), {}, "bool");

/** condition ? x : y elementwise → […], with numpy broadcasting. */
export const where = (graph: Graph, condition: Tensor, x: Tensor, y: Tensor): Tensor =>
  single(
    graph,
    "Where",
    [condition, x, y],
    broadcast(condition.shape, broadcast(x.shape, y.shape)),
    {},
    x.type,
  );

/** 1 / (1 + e^−x) → same shape. */
export const sigmoid = (graph: Graph, x: Tensor): Tensor => single(graph, "Sigmoid", [x], x.shape);

/** √x → same shape. */
export const sqrt = (graph: Graph, x: Tensor): Tensor => single(graph, "Sqrt", [x], x.shape);

/** 1 / x → same shape. */
export const reciprocal = (graph: Graph, x: Tensor): Tensor => single(graph, "Reciprocal", [x], x.shape);

/** Convert the element type; same shape. */
export function cast(graph: Graph, x: Tensor, type: "float32"): Tensor {
  return x.type === type ? x : single(graph, "Cast", [x], x.shape, { to: 1 }, type);
}

/** Softmax over the last axis → same shape. Rows with every entry −∞ give NaN. */
export const softmax = (graph: Graph, x: Tensor): Tensor =>
  single(graph, "Softmax", [x], x.shape, { axis: -1 });

/** log(softmax) over the last axis → same shape, in nats. */
export const logSoftmax = (graph: Graph, x: Tensor): Tensor =>
  single(graph, "LogSoftmax", [x], x.shape, { axis: -1 });

/** Mean over the last axis: x[…, N] → […, 1]. */
export function meanLast(graph: Graph, x: Tensor): Tensor {
  return single(graph, "ReduceMean", [x, constantIntegers(graph, [-1])], [...x.shape.slice(0, -1), 1]);
}

/** x[N, I] · w[O, I]ᵀ → [N, O]: a linear layer with its weight as Hugging Face stores it. */
export function linear(graph: Graph, x: Tensor, w: Tensor): Tensor {
  const [rows, inner] = x.shape;
  const [outer, innerW] = w.shape;
  invariant(x.shape.length === 2 && w.shape.length === 2, "linear takes matrices");
  invariant(rows !== undefined && outer !== undefined && inner === innerW, `linear ${x.shape} by ${w.shape}`);
  return single(graph, "Gemm", [x, w], [rows, outer], { transB: 1 });
}

/** x[…, M, K] · y[…, K, N] → […, M, N]; leading axes broadcast. */
export function matmul(graph: Graph, x: Tensor, y: Tensor): Tensor {
  const inner = x.shape.at(-1);
  invariant(inner !== undefined && inner === y.shape.at(-2), `matmul ${x.shape} by ${y.shape}`);
  const leading = broadcast(x.shape.slice(0, -2), y.shape.slice(0, -2));
  return single(graph, "MatMul", [x, y], [...leading, x.shape.at(-2) ?? 1, y.shape.at(-1) ?? 1]);
}

/** Rows of x[N, …] by int64 index → [...indices.shape, …]. Out-of-range indices fail the run. */
export function rows(graph: Graph, x: Tensor, indices: Tensor): Tensor {
  return single(graph, "Gather", [x, indices], [...indices.shape, ...x.shape.slice(1)], { axis: 0 });
}

/** One element per row: x[N, V] at columns indices[N, 1] → [N, 1]. */
export function pick(graph: Graph, x: Tensor, indices: Tensor): Tensor {
  return single(graph, "GatherElements", [x, indices], indices.shape, { axis: 1 });
}

/** Reorder axes: result axis i is x's axis order[i]. */
export function transpose(graph: Graph, x: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => {
    const dim = x.shape[axis];
    invariant(dim !== undefined, `transpose ${x.shape} by ${order}`);
    return dim;
  });
  return single(graph, "Transpose", [x], shape, { perm: order });
}

/**
 * Same elements in a new shape. At most one symbolic dim may be unknown to the graph (a product such
 * as "B*T"); the others must be axes of an input, whose sizes are read when the graph runs.
 */
export function reshape(graph: Graph, x: Tensor, shape: readonly Dim[]): Tensor {
  const symbolic = shape.filter((dim) => typeof dim === "string");
  const inferred = symbolic.find((dim) => !isInputDim(graph, dim)) ?? symbolic.at(-1);
  const known = symbolic.filter((dim) => dim !== inferred);
  if (known.length === 0) {
    const sizes = shape.map((dim) => (typeof dim === "number" ? dim : -1));
    return single(graph, "Reshape", [x, constantIntegers(graph, sizes)], shape);
  }
  const sizes = share(graph, `shape ${shape}`, () =>
    concat(
      graph,
      shape.map((dim) => (dim === inferred ? constantIntegers(graph, [-1]) : size(graph, dim))),
      0,
    ),
  );
  return single(graph, "Reshape", [x, sizes], shape);
}

/** Insert axes of size 1 at the given positions of the result. */
export function unsqueeze(graph: Graph, x: Tensor, axes: readonly number[]): Tensor {
  const shape: Dim[] = [...x.shape];
  for (const axis of axes) shape.splice(axis, 0, 1);
  return single(graph, "Unsqueeze", [x, constantIntegers(graph, axes)], shape);
}

/** Join along an axis; all other axes agree. A joined symbolic axis is named "p+q". */
export function concat(graph: Graph, parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  invariant(first, "concat needs a part");
  const at = axis < 0 ? first.shape.length + axis : axis;
  const dims = parts.map((part) => part.shape[at] ?? 1);
  const joined = dims.every((dim) => typeof dim === "number") ? sum(dims) : dims.join("+");
  const shape = first.shape.map((dim, index) => (index === at ? joined : dim));
  return single(graph, "Concat", parts, shape, { axis: at });
}

/** Halves of the last axis: x[…, 2N] → two […, N]. */
export function halves(graph: Graph, x: Tensor): [Tensor, Tensor] {
  const last = x.shape.at(-1);
  invariant(typeof last === "number" && last % 2 === 0, `halves of ${x.shape}`);
  const shape = [...x.shape.slice(0, -1), last / 2];
  const declared = { type: x.type, shape };
  const [low, high] = emit(graph, "Split", [x], [declared, declared], { axis: -1, num_outputs: 2 });
  invariant(low && high, "Split has two outputs");
  return [low, high];
}

/**
 * Elements `from` (inclusive) to `to` (exclusive) of one axis; negative bounds count from its end.
 * `dim` is the resulting size, which the caller knows.
 */
export function slice(
  graph: Graph,
  x: Tensor,
  range: { axis: number; from: number; to: number | Tensor; dim: Dim },
): Tensor {
  const at = range.axis < 0 ? x.shape.length + range.axis : range.axis;
  const to = typeof range.to === "number" ? constantIntegers(graph, [range.to]) : range.to;
  const inputs = [x, constantIntegers(graph, [range.from]), to, constantIntegers(graph, [at])];
  return single(
    graph,
    "Slice",
    inputs,
    x.shape.map((dim, index) => (index === at ? range.dim : dim)),
  );
}

/** Size of an input's axis, or a number, as int64[1]. */
export function size(graph: Graph, dim: Dim): Tensor {
  if (typeof dim === "number") return constantIntegers(graph, [dim]);
  return share(graph, `size ${dim}`, () => {
    const source = graph.inputs.find((tensor) => tensor.shape.includes(dim));
    invariant(source, `no input has an axis ${dim}`);
    const axis = source.shape.indexOf(dim);
    return single(graph, "Shape", [source], [1], { start: axis, end: axis + 1 }, "int64");
  });
}

/** 0, 1, …, n − 1 for the size n of an input's axis → int64[n]. */
export function range(graph: Graph, dim: string): Tensor {
  const count = single(graph, "Squeeze", [size(graph, dim), constantIntegers(graph, [0])], []);
  return single(graph, "Range", [constantIntegers(graph, 0), count, constantIntegers(graph, 1)], [dim]);
}

function isInputDim(graph: Graph, dim: string): boolean {
  return graph.inputs.some((tensor) => tensor.shape.includes(dim));
}

function elementwise(graph: Graph, op: string, x: Tensor, y: Tensor): Tensor {
  invariant(x.type === y.type, `${op} of ${x.type} and ${y.type}`);
  return single(graph, op, [x, y], broadcast(x.shape, y.shape));
}

function single(
  graph: Graph,
  op: string,
  inputs: readonly Tensor[],
  shape: readonly Dim[],
  attributes: Parameters<typeof emit>[4] = {},
  type?: ElementType,
): Tensor {
  const [result] = emit(
    graph,
    op,
    inputs,
    [{ type: type ?? inputs[0]?.type ?? "float32", shape }],
    attributes,
  );
  invariant(result, "emit returns one tensor per declared output");
  return result;
}

/** numpy broadcasting of two shapes; a symbolic dim only matches itself and 1. */
function broadcast(x: readonly Dim[], y: readonly Dim[]): Dim[] {
  const rank = Math.max(x.length, y.length);
  return Array.from({ length: rank }, (_, index) => {
    const left = x[x.length - rank + index] ?? 1;
    const right = y[y.length - rank + index] ?? 1;
    invariant(left === right || left === 1 || right === 1, `shapes [${x}] and [${y}] do not broadcast`);
    return left === 1 ? right : left;
  });
}

function sum(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total + dim, 0);
}
