import { invariant } from "#runtime/errors";
import { constantIntegers, type Dim, emit, type Graph, share, type Tensor } from "./graph.ts";
import { axisOf, node } from "./node.ts";
import { zerosLike } from "./reductions.ts";
import { record, recordMany } from "./tape.ts";

/** Operations that move elements without changing them; g is the result's gradient. */

/** Rows of x[N, …] by int64 index → [...indices.shape, …]. Out-of-range indices fail the run. Pullback: g added into those rows of zeros. */
export function rows(graph: Graph, x: Tensor, indices: Tensor): Tensor {
  const shape = [...indices.shape, ...x.shape.slice(1)];
  return record(graph, [x, indices], node(graph, "Gather", [x, indices], shape, { axis: 0 }), [
    (g) => {
      const at = unsqueeze(graph, indices, [indices.shape.length]);
      const inputs = [zerosLike(graph, x), at, g];
      return node(graph, "ScatterND", inputs, x.shape, { reduction: { text: "add" } });
    },
    undefined,
  ]);
}

/** One element per row: x[N, V] at columns indices[N, 1] → [N, 1]. Pullback: g in that column, 0 elsewhere. */
export function pick(graph: Graph, x: Tensor, indices: Tensor): Tensor {
  const picked = node(graph, "GatherElements", [x, indices], indices.shape, { axis: 1 });
  return record(graph, [x, indices], picked, [
    (g) => addAt(graph, zerosLike(graph, x), indices, g),
    undefined,
  ]);
}

/** x[N, V] with updates[N, 1] added at columns indices[N, 1] → [N, V]. Pullbacks: g, g at those columns. */
export function addAt(graph: Graph, x: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const attributes = { axis: 1, reduction: { text: "add" } };
  const inputs = [x, indices, updates];
  return record(graph, inputs, node(graph, "ScatterElements", inputs, x.shape, attributes), [
    (g) => g,
    undefined,
    (g) => pick(graph, g, indices),
  ]);
}

/** Reorder axes: result axis i is x's axis order[i]. Pullback: g in the old order. */
export function transpose(graph: Graph, x: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => {
    const dim = x.shape[axis];
    invariant(dim !== undefined, `transpose ${x.shape} by ${order}`);
    return dim;
  });
  const back = order.map((_, axis) => order.indexOf(axis));
  return record(graph, [x], node(graph, "Transpose", [x], shape, { perm: order }), [
    (g) => transpose(graph, g, back),
  ]);
}

/**
 * Same elements in a new shape. At most one symbolic dim may be unknown to the graph (a product such
 * as "B*T"); the others must be axes of an input, whose sizes are read when the graph runs.
 * Pullback: g in the old shape.
 */
export function reshape(graph: Graph, x: Tensor, shape: readonly Dim[]): Tensor {
  const sizes = share(graph, `shape ${shape}`, () => shapeTensor(graph, shape));
  return record(graph, [x], node(graph, "Reshape", [x, sizes], shape), [(g) => reshape(graph, g, x.shape)]);
}

function shapeTensor(graph: Graph, shape: readonly Dim[]): Tensor {
  const unknown = shape.findIndex((dim) => typeof dim === "string" && !isInputDim(graph, dim));
  const inferred = unknown >= 0 ? unknown : shape.findLastIndex((dim) => typeof dim === "string");
  const isStatic = shape.every((dim, axis) => typeof dim === "number" || axis === inferred);
  if (isStatic)
    return constantIntegers(
      graph,
      shape.map((dim) => (typeof dim === "number" ? dim : -1)),
    );
  const sizes = shape.map((dim, axis) =>
    axis === inferred ? constantIntegers(graph, [-1]) : size(graph, dim),
  );
  return node(graph, "Concat", sizes, [shape.length], { axis: 0 });
}

/** Insert axes of size 1 at the given positions of the result, in ascending order. Pullback: g without them. */
export function unsqueeze(graph: Graph, x: Tensor, axes: readonly number[]): Tensor {
  const shape: Dim[] = [...x.shape];
  for (const axis of axes) shape.splice(axis, 0, 1);
  const positions = constantIntegers(graph, axes);
  return record(graph, [x], node(graph, "Unsqueeze", [x, positions], shape), [
    (g) => node(graph, "Squeeze", [g, positions], x.shape),
  ]);
}

/** Join along an axis; all other axes agree. A joined symbolic axis is named "p+q". Pullbacks: g's parts. */
export function concat(graph: Graph, parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  invariant(first, "concat needs a part");
  const at = axisOf(first, axis);
  const dims: readonly Dim[] = parts.map((part) => part.shape[at] ?? 1);
  const joined = isStatic(dims) ? sum(dims) : dims.join("+");
  const shape = first.shape.map((dim, index) => (index === at ? joined : dim));
  const whole = node(graph, "Concat", parts, shape, { axis: at });
  return record(
    graph,
    parts,
    whole,
    parts.map((_, index) => (g: Tensor) => {
      invariant(isStatic(dims), `concat along symbolic axis ${joined} has no derivative`);
      const from = sum(dims.slice(0, index));
      const dim = dims[index] ?? 0;
      return slice(graph, g, { axis: at, from, to: from + dim, dim });
    }),
  );
}

/** Consecutive parts of the last axis, of the given sizes: x[…, Σ sizes] → […, size] each. Pullback: joined gradients. */
export function split(graph: Graph, x: Tensor, sizes: readonly number[]): Tensor[] {
  invariant(x.shape.at(-1) === sum(sizes), `split ${x.shape} into ${sizes}`);
  const declared = sizes.map((dim) => ({ type: x.type, shape: [...x.shape.slice(0, -1), dim] }));
  const parts = emit(graph, "Split", [x, constantIntegers(graph, sizes)], declared, { axis: -1 });
  const pull = (gradients: readonly (Tensor | undefined)[]) =>
    concat(
      graph,
      parts.map((part, index) => gradients[index] ?? zerosLike(graph, part)),
      -1,
    );
  recordMany(graph, { inputs: [x], outputs: parts, pullbacks: [pull] });
  return parts;
}

/** Halves of the last axis: x[…, 2N] → two […, N]. Pullback: joined gradients. */
export function halves(graph: Graph, x: Tensor): [Tensor, Tensor] {
  const last = x.shape.at(-1);
  invariant(typeof last === "number" && last % 2 === 0, `halves of ${x.shape}`);
  const [low, high] = split(graph, x, [last / 2, last / 2]);
  invariant(low && high, "Split has two outputs");
  return [low, high];
}

/**
 * Elements `from` (inclusive) to `to` (exclusive) of one axis; negative bounds count from its end.
 * `dim` is the resulting size, which the caller knows. Pullback, along a static axis: g between zeros.
 */
export function slice(
  graph: Graph,
  x: Tensor,
  range: { axis: number; from: number | Tensor; to: number | Tensor; dim: Dim },
): Tensor {
  const at = axisOf(x, range.axis);
  const to = typeof range.to === "number" ? constantIntegers(graph, [range.to]) : range.to;
  const from = typeof range.from === "number" ? constantIntegers(graph, [range.from]) : range.from;
  const inputs = [x, from, to, constantIntegers(graph, [at])];
  const shape = x.shape.map((dim, index) => (index === at ? range.dim : dim));
  return record(graph, [x], node(graph, "Slice", inputs, shape), [
    (g) => {
      const whole = x.shape[at];
      invariant(
        typeof whole === "number" && typeof range.dim === "number" && typeof range.from === "number",
        "a slice of a symbolic axis has no derivative",
      );
      const before = range.from < 0 ? whole + range.from : range.from;
      const pads = x.shape.map((_, axis) => (axis === at ? before : 0));
      const ends = x.shape.map((_, axis) => (axis === at ? whole - before - Number(range.dim) : 0));
      return node(graph, "Pad", [g, constantIntegers(graph, [...pads, ...ends])], x.shape);
    },
  ]);
}

/** Size of an input's axis, or a number, as int64[1]. */
export function size(graph: Graph, dim: Dim): Tensor {
  if (typeof dim === "number") return constantIntegers(graph, [dim]);
  return share(graph, `size ${dim}`, () => {
    const source = graph.inputs.find((tensor) => tensor.shape.includes(dim));
    invariant(source, `no input has an axis ${dim}`);
    const axis = source.shape.indexOf(dim);
    return node(graph, "Shape", [source], [1], { start: axis, end: axis + 1 }, "int64");
  });
}

/** 0, 1, …, n − 1 for the size n of an input's axis → int64[n]. */
export function range(graph: Graph, dim: string): Tensor {
  const count = node(graph, "Squeeze", [size(graph, dim), constantIntegers(graph, [0])], []);
  return node(graph, "Range", [constantIntegers(graph, 0), count, constantIntegers(graph, 1)], [dim]);
}

function isInputDim(graph: Graph, dim: string): boolean {
  return graph.inputs.some((tensor) => tensor.shape.includes(dim));
}

function isStatic(dims: readonly Dim[]): dims is readonly number[] {
  return dims.every((dim) => typeof dim === "number");
}

function sum(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total + dim, 0);
}
