import * as ort from "onnxruntime-node";
import type { Decoder, Linear } from "#runtime/decoder/description";
import type { ModelGraphs } from "#runtime/decoder/inference-graphs";
import { invariant, ModelClosedError, ModelRuntimeError } from "#runtime/errors";
import { type AdapterFeeds, createAdapterFeeds } from "#runtime/multi-lora/adapter-feeds";
import { DeviceUnavailableError } from "./device.ts";
import { createResidentCache, type ResidentCache } from "./resident.ts";
import { type SessionChoice, sessionOptions } from "./session-options.ts";

/** What a worker needs to run a model: sent once, when the worker starts. */
export interface ModelSpec extends SessionChoice {
  /** Absolute folder the graphs' external weights are read from. */
  readonly folder: string;
  readonly config: Decoder;
  readonly graphs: ModelGraphs;
  readonly isQuantised?: boolean;
  /** Matrices that adapters may change; the graphs have inputs for them. None by default. */
  readonly linears?: readonly Linear[];
  /** Most bytes of prompts that this thread keeps for reuse; none by default. Needs the extend graph. */
  readonly prefixBytesMax?: number;
  /** Most bytes of keys and values of the answers under way; no limit by default. */
  readonly cacheBytesMax?: number;
  /** Whether the decode graph gives its cache; see `GraphChoice`. */
  readonly keepsCache?: boolean;
}

/**
 * Runs named inputs through one graph and returns named outputs. Blocks the thread while it computes. Outputs that
 * the session keeps stay where they were computed, and go into `kept` as they are: who takes them gives them back.
 */
export type Run = (
  inputs: Record<string, ort.Tensor>,
  kept?: Map<string, ort.Tensor>,
) => Promise<Record<string, Float32Array>>;

/** A graph loaded by ONNX Runtime. */
export interface OpenGraph {
  readonly run: Run;
  /** Give its memory back, on a device too. Runs are refused with ModelClosedError from then on. */
  readonly release: () => Promise<void>;
}

/** A model inside a worker. A graph's session is created at its first use and kept. */
export interface LoadedModel {
  readonly config: Decoder;
  readonly session: (graph: keyof ModelGraphs) => Promise<Run>;
  /**
   * Fewest rows of a decode step. One row alone would take a kernel with other bits where a matrix is not
   * packed beforehand: mapped, in blocks of codes, or an adapter's. Padded to two it has the bits it has in company.
   */
  readonly rowsMin: 1 | 2;
  /** What the graphs take besides, for rows that follow these adapters. */
  readonly adapterFeeds: AdapterFeeds;
  readonly prefixBytesMax: number;
  readonly cacheBytesMax: number;
  /** Where steps leave their cache on a device; none where it is the host's memory anyway. */
  readonly resident: ResidentCache | undefined;
}

/** Version of the ONNX Runtime binary in this thread. */
export const ortVersion = ort.env.versions.node ?? "unknown";

/** Prepare a model for this thread; nothing is loaded before the first run. */
export function loadModel(spec: ModelSpec): LoadedModel {
  const sessions = new Map<keyof ModelGraphs, Promise<Run>>();
  const { linears = [], prefixBytesMax = 0, cacheBytesMax = Number.POSITIVE_INFINITY } = spec;
  const { weightMode = "packed" } = spec;
  const isPacked = weightMode === "packed" && !spec.isQuantised && linears.length === 0;
  return {
    config: spec.config,
    rowsMin: isPacked ? 1 : 2,
    adapterFeeds: createAdapterFeeds(linears),
    prefixBytesMax,
    cacheBytesMax,
    resident: spec.keepsCache ? createResidentCache() : undefined,
    session: (graph) => {
      const known = sessions.get(graph) ?? createSession(spec, graph);
      sessions.set(graph, known);
      return known;
    },
  };
}

/** int64 tensor. */
export function integers(values: readonly number[], shape: readonly number[]): ort.Tensor {
  return new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
}

/** float32 tensor over `values`, not copied. */
export function floats(values: Float32Array, shape: readonly number[]): ort.Tensor {
  return new ort.Tensor("float32", values, shape);
}

/** Graphs that run sequences of any length after pasts of any: a plan of memory for each pair of them would never end. */
const ofAnyLength: ReadonlySet<keyof ModelGraphs> = new Set(["extend", "extendLogProb", "extendCache"]);

async function createSession(spec: ModelSpec, graph: keyof ModelGraphs): Promise<Run> {
  const encoded = spec.graphs[graph];
  invariant(encoded, `the model has a graph ${graph}`);
  const layers = graph === "decode" && spec.keepsCache ? spec.config.layers : [];
  const kept = layers.flatMap((_, layer) => [`keptKey.${layer}`, `keptValue.${layer}`]);
  const choice = { ...spec, hasMemoryPattern: !ofAnyLength.has(graph) };
  return (await openGraph(graph, encoded, spec.folder, choice, kept)).run;
}

/**
 * A session of one encoded graph whose weights are read from `folder`; `name` stands in errors. `keptOutputs` stay on
 * the device.
 * @throws DeviceUnavailableError if another device than the CPU does not take it, else SessionError; `run`, if it refuses a run.
 */
export async function openGraph(
  name: string,
  graph: Uint8Array,
  folder: string,
  choice: SessionChoice = {},
  keptOutputs: readonly string[] = [],
): Promise<OpenGraph> {
  const { extra, executionProviders, ...options } = sessionOptions(choice);
  const session = await ort.InferenceSession.create(graph, {
    ...options,
    executionProviders,
    ...(choice.device === "webgpu" && keptOutputs.length > 0
      ? { preferredOutputLocation: Object.fromEntries(keptOutputs.map((output) => [output, "gpu-buffer"])) }
      : {}),
    extra: { ...extra, session: { ...extra?.session, model_external_initializers_file_folder_path: folder } },
  }).catch((cause: unknown) => {
    if (choice.device && choice.device !== "cpu") throw new DeviceUnavailableError(choice.device, cause);
    throw new SessionError(`cannot load the ${name} graph`, cause);
  });
  let isReleased = false;
  const run: Run = async (inputs, kept) => {
    if (isReleased) throw new ModelClosedError();
    const outputs = await session.run(inputs).catch((cause: unknown) => {
      throw new SessionError(`cannot run the ${name} graph`, cause);
    });
    const read: Record<string, Float32Array> = {};
    for (const [output, tensor] of Object.entries(outputs)) {
      if (keptOutputs.includes(output)) {
        invariant(kept, "somebody takes what is kept");
        kept.set(output, tensor);
        continue;
      }
      invariant(tensor.data instanceof Float32Array, `output ${output} is float32`);
      read[output] = tensor.data;
    }
    return read;
  };
  const release = async () => {
    if (isReleased) return;
    isReleased = true;
    await session.release();
  };
  return { run, release };
}

/** ONNX Runtime refused a graph or a run. */
export class SessionError extends ModelRuntimeError {
  constructor(what: string, cause: unknown) {
    super(
      "session-failed",
      `ONNX Runtime ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
