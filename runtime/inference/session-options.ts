/**
 * Options of every ONNX Runtime session, part of the execution profile: change one and bits may change.
 * Default prepacking stays on (without it a single row takes another kernel than a batch), and each
 * session has one thread; parallelism comes from running several workers.
 */
export const sessionOptions = {
  executionProviders: ["cpu"],
  executionMode: "sequential",
  graphOptimizationLevel: "all",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableCpuMemArena: true,
  enableMemPattern: true,
} as const;
