import type { Device } from "./device.ts";

/**
 * Where weights are while a model is open.
 * `packed`: each session rearranges them for its kernels into memory of its own: fastest for many rows.
 * `mapped`: float32 weights stay in their file, mapped; every session, worker and process shares the one
 * copy in the page cache, and opening reads nothing. float16 and bfloat16 are widened in memory either way.
 * `narrow`: as mapped, and bfloat16 weights stay in their file too, each widened when a layer uses it: a step reads
 * them as fast as it can widen them. float16 is widened as ever, by a pass of ONNX Runtime that cannot be put off.
 */
export type WeightMode = (typeof weightModes)[number];

export const weightModes = ["packed", "mapped", "narrow"] as const;

/** What is the same in both modes. Each session has one thread; parallelism comes from running several workers. */
const always = {
  executionMode: "sequential",
  graphOptimizationLevel: "all",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableCpuMemArena: true,
} as const;

/** What is chosen when a model is opened. */
export interface SessionChoice {
  /** `packed` unless given. */
  readonly weightMode?: WeightMode | undefined;
  /** `cpu` unless given. */
  readonly device?: Device | undefined;
  /** Whether runs after the first take their memory in one block, planned by that run; true unless given. */
  readonly hasMemoryPattern?: boolean | undefined;
}

export type SessionOptions = typeof always & {
  readonly enableMemPattern: boolean;
  readonly executionProviders: readonly [Device];
  readonly extra?: {
    readonly session: { readonly disable_prepacking: "1" };
    readonly optimization?: { readonly disable_specified_optimizers: "ConstantFolding" };
  };
};

/** Options of every ONNX Runtime session, part of the execution profile: change one and bits may change. */
export function sessionOptions({
  weightMode = "packed",
  device = "cpu",
  hasMemoryPattern = true,
}: SessionChoice = {}): SessionOptions {
  const options = { executionProviders: [device], ...always, enableMemPattern: hasMemoryPattern } as const;
  if (weightMode === "packed") return options;
  const session = { disable_prepacking: "1" } as const;
  if (weightMode === "mapped") return { ...options, extra: { session } };
  // Folding would widen when the graph is loaded; a planned block of memory would have room for all layers at once.
  const optimization = { disable_specified_optimizers: "ConstantFolding" } as const;
  return { ...options, enableMemPattern: false, extra: { session, optimization } };
}
