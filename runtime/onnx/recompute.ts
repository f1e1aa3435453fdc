import { constantIntegers, type Graph, type Tensor } from "./graph.ts";
import { node } from "./node.ts";
import { gradients, record, unrecorded } from "./tape.ts";

/**
 * A value that derivatives compute once more from `inputs`, which are kept, instead of keeping it and what lies
 * between: for cheap operations on large tensors. `build` is called once for each direction. Source: Chen et al.
 * 2016, §3.
 */
export function recomputed<Inputs extends readonly Tensor[]>(
  graph: Graph,
  inputs: Inputs,
  build: (...inputs: Inputs) => Tensor,
): Tensor {
  const output = unrecorded(graph, () => build(...inputs));
  let made: { readonly sources: Inputs; readonly value: Tensor; readonly steps: Graph["tape"] } | undefined;
  const remake = (after: Tensor) => {
    if (made) return made;
    const sources = inputs.map((x) => late(graph, x, after)) as unknown as Inputs;
    const from = graph.tape.length;
    const value = build(...sources);
    made = { sources, value, steps: graph.tape.splice(from) };
    return made;
  };
  graph.recomputations.set(output.name, (after) => remake(after).value);
  const pulled = new Map<string, Tensor[]>();
  const pull = (g: Tensor) => {
    const { sources, value, steps } = remake(g);
    const found = pulled.get(g.name) ?? gradients({ ...graph, tape: steps }, value, sources, g);
    pulled.set(g.name, found);
    return found;
  };
  const pullbacks = inputs.map((_, index) => (g: Tensor) => pull(g)[index]!);
  return record(graph, inputs, output, pullbacks);
}

/** x for a derivative that has waited for `after`: computed once more if it is `recomputed`, else kept. */
export function again(graph: Graph, x: Tensor, after: Tensor): Tensor {
  return graph.recomputations.get(x.name)?.(after) ?? x;
}

/**
 * x, which nothing reads before `after` exists; both have a first axis of the same size, and x one more unknown at most. ONNX Runtime runs a node as soon
 * as its inputs are there and takes equal nodes for one: without this it would recompute nothing, and keep all.
 */
function late(graph: Graph, x: Tensor, after: Tensor): Tensor {
  const [rows, ...rest] = x.shape;
  if (rows !== after.shape[0] || rest.filter((dim) => typeof dim === "string").length > 1) return x;
  const count = node(graph, "Shape", [after], [1], { start: 0, end: 1 }, "int64");
  const others = rest.map((dim) => (typeof dim === "string" ? -1 : dim));
  const parts = [count, constantIntegers(graph, others)];
  const sizes = node(graph, "Concat", parts, [x.shape.length], { axis: 0 });
  return node(graph, "Reshape", [x, sizes], x.shape);
}
