/** The graph builder on its own: it knows of no model, and needs nothing of this library but its errors. */
export {
  constantFloat,
  constantFloats,
  constantIntegers,
  create,
  type Dim,
  type ElementType,
  external,
  type Graph,
  input,
  output,
  type Tensor,
  withoutUnused,
} from "./graph.ts";
export { encode } from "./model.ts";
export * as op from "./ops.ts";
export { gradients } from "./tape.ts";
