import { invariant } from "#runtime/errors";
import { type Dim, type ElementType, emit, type Graph, type Tensor } from "./graph.ts";

/** Append a node with one output; its type is the first input's unless given. Not written on the tape. */
export function node(
  graph: Graph,
  op: string,
  inputs: readonly Tensor[],
  shape: readonly Dim[],
  attributes: Parameters<typeof emit>[4] = {},
  type: ElementType = inputs[0]?.type ?? "float32",
): Tensor {
  const [result] = emit(graph, op, inputs, [{ type, shape }], attributes);
  invariant(result, "emit returns one tensor per declared output");
  return result;
}

/** numpy broadcasting of two shapes; a symbolic dim only matches itself and 1. */
export function broadcast(x: readonly Dim[], y: readonly Dim[]): Dim[] {
  const rank = Math.max(x.length, y.length);
  return Array.from({ length: rank }, (_, index) => {
    const left = x[x.length - rank + index] ?? 1;
    const right = y[y.length - rank + index] ?? 1;
    invariant(left === right || left === 1 || right === 1, `shapes [${x}] and [${y}] do not broadcast`);
    return left === 1 ? right : left;
  });
}

/** An axis given from the front, or negative from the end, as counted from the front. */
export function axisOf(x: Tensor, axis: number): number {
  const at = axis < 0 ? x.shape.length + axis : axis;
  invariant(at >= 0 && at < x.shape.length, `axis ${axis} of [${x.shape}]`);
  return at;
}
