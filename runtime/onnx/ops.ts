/**
 * Operations over graph tensors. Each appends ONNX nodes, returns the result with its inferred shape, and
 * writes on the graph's tape how gradients flow back through it. Letters in docblocks are axis sizes;
 * "…" is any leading axes. Shapes that do not fit are our bug and fail an invariant while the graph is
 * built, never when it runs. Every one is checked against PyTorch, and by finite differences where it has a
 * derivative (`ops.test.ts`, which fails for an op that it has no case of).
 */
export * from "./elementwise.ts";
export * from "./layout.ts";
export * from "./low-rank.ts";
export * from "./matrix.ts";
export * from "./neural.ts";
export * from "./reductions.ts";
