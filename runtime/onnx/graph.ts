import { invariant } from "#runtime/errors";

/** Size of one axis: a number, or the name of a size known only when the graph runs ("B", "T"). */
export type Dim = number | string;

export type ElementType = "float32" | "float16" | "bfloat16" | "int64" | "bool" | "uint8" | "uint4";

/** A value flowing through a graph. `shape` is what the builder inferred; it carries no data. */
export interface Tensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly Dim[];
}

export type Attribute = number | readonly number[] | { readonly float: number } | { readonly text: string };

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant of the graph: bytes inside the model, or a byte range of a file beside it. */
export interface Initializer {
  readonly tensor: Tensor;
  readonly data:
    | { readonly kind: "inline"; readonly bytes: Uint8Array }
    | { readonly kind: "external"; readonly file: string; readonly offset: number; readonly bytes: number };
}

/**
 * One differentiable step of a graph: how the gradients of its outputs become those of its inputs.
 * A pullback gets one gradient per output, undefined where the loss does not depend on that output,
 * and emits nodes; it is absent where an input has no derivative (indices, masks).
 */
export interface Step {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly pullbacks: readonly (((gradients: readonly (Tensor | undefined)[]) => Tensor) | undefined)[];
}

/** A graph under construction. Ops (see `ops.ts`) append to it; `encode` in `model.ts` reads it. */
export interface Graph {
  readonly name: string;
  readonly inputs: Tensor[];
  readonly outputs: Tensor[];
  readonly nodes: Node[];
  readonly initializers: Initializer[];
  /** What `gradients` in `tape.ts` walks backwards: every differentiable op, in the order built. */
  readonly tape: Step[];
  /** Values made once and reused, by what they mean: small constants and the sizes of symbolic axes. */
  readonly shared: Map<string, Tensor>;
  /** How values are computed once more where derivatives need them, by name; see `recompute.ts`. */
  readonly recomputations: Map<string, (after: Tensor) => Tensor>;
}

/** Start an empty graph. */
export function create(name: string): Graph {
  return {
    name,
    inputs: [],
    outputs: [],
    nodes: [],
    initializers: [],
    tape: [],
    shared: new Map(),
    recomputations: new Map(),
  };
}

/** Declare an input. Symbolic dims named here can be used in later reshapes. */
export function input(graph: Graph, name: string, type: ElementType, shape: readonly Dim[]): Tensor {
  const tensor = { name, type, shape };
  graph.inputs.push(tensor);
  return tensor;
}

/** Declare `tensor` an output under `name`. */
export function output(graph: Graph, name: string, tensor: Tensor): Tensor {
  const [renamed] = emit(graph, "Identity", [tensor], [{ type: tensor.type, shape: tensor.shape }], {}, [
    name,
  ]);
  invariant(renamed, "emit returns one tensor per declared output");
  graph.outputs.push(renamed);
  return renamed;
}

/** float32 constant stored inside the graph. `values.length` must equal the product of `shape`. */
export function constantFloats(
  graph: Graph,
  name: string,
  values: Float32Array,
  shape: readonly number[],
): Tensor {
  invariant(
    values.length === elementCount(shape),
    `constant ${name} has ${values.length} values for ${shape}`,
  );
  const tensor: Tensor = { name, type: "float32", shape };
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setFloat32(index * 4, value, true);
  });
  graph.initializers.push({ tensor, data: { kind: "inline", bytes } });
  return tensor;
}

/** Small int64 constant of shape [values.length], or a scalar when `values` is a number; shared by value. */
export function constantIntegers(graph: Graph, values: readonly number[] | number): Tensor {
  const list = typeof values === "number" ? [values] : values;
  const shape = typeof values === "number" ? [] : [list.length];
  return share(graph, `int64 ${JSON.stringify(values)}`, (name) => {
    const bytes = new Uint8Array(list.length * 8);
    const view = new DataView(bytes.buffer);
    list.forEach((value, index) => {
      view.setBigInt64(index * 8, BigInt(value), true);
    });
    const tensor: Tensor = { name, type: "int64", shape };
    graph.initializers.push({ tensor, data: { kind: "inline", bytes } });
    return tensor;
  });
}

/** float32 scalar constant; shared by value. */
export function constantFloat(graph: Graph, value: number): Tensor {
  return share(graph, `float32 ${value}`, (name) => constantFloats(graph, name, Float32Array.of(value), []));
}

/** Weight living in a file beside the model: `bytes` bytes from `offset` of `file`, little endian, row major. */
export function external(
  graph: Graph,
  tensor: Tensor,
  range: { file: string; offset: number; bytes: number },
): Tensor {
  graph.initializers.push({ tensor, data: { kind: "external", ...range } });
  return tensor;
}

/** Append a node; returns its outputs in order. Names are made from the op and its position unless given. */
export function emit(
  graph: Graph,
  op: string,
  inputs: readonly Tensor[],
  outputs: readonly { type: ElementType; shape: readonly Dim[] }[],
  attributes: Readonly<Record<string, Attribute>> = {},
  names?: readonly string[],
): Tensor[] {
  const base = `${op}.${graph.nodes.length}`;
  const tensors = outputs.map((declared, index) => ({
    name: names?.[index] ?? (outputs.length === 1 ? base : `${base}.${index}`),
    ...declared,
  }));
  graph.nodes.push({
    op,
    inputs: inputs.map((tensor) => tensor.name),
    outputs: tensors.map((tensor) => tensor.name),
    attributes,
  });
  return tensors;
}

/** Make a value once per graph. `make` gets a unique name for it. */
export function share(graph: Graph, meaning: string, make: (name: string) => Tensor): Tensor {
  const known = graph.shared.get(meaning);
  if (known) return known;
  const made = make(`shared.${graph.shared.size}`);
  graph.shared.set(meaning, made);
  return made;
}

/** The nodes and constants that outputs depend on; all inputs stay, so that graphs of one kind take the same feeds. */
export function withoutUnused(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((name) => needed.has(name))) return false;
    for (const name of inputs) needed.add(name);
    return true;
  });
  const initializers = graph.initializers.filter(({ tensor }) => needed.has(tensor.name));
  return { ...graph, nodes: nodes.reverse(), initializers };
}

/** Product of a static shape. */
function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}
