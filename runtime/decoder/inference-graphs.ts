import { claimTensors } from "#runtime/families/weight-claims";
import { create, type Graph, input, output, type Tensor, withoutUnused } from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import * as op from "#runtime/onnx/ops";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { expectedTensors } from "./description.ts";
import { type Build, frozenBuild, project, runSequences, runStep } from "./skeleton.ts";

/** Encoded ONNX models of a folder, one per purpose, whose weights point into its safetensors files. */
export interface ModelGraphs {
  readonly prefill: Uint8Array;
  readonly decode: Uint8Array;
  readonly logProb: Uint8Array;
  /** Where prompts may continue from others, or be too long for one run. */
  readonly extend?: Uint8Array;
  /** Where what is judged may run part by part. */
  readonly extendLogProb?: Uint8Array;
  readonly extendCache?: Uint8Array;
}

/** What the graphs of a model are to do besides. */
export interface GraphChoice {
  /** `frozenBuild` unless adapters may change matrices. */
  readonly makeBuild?: MakeBuild;
  readonly canExtend?: boolean;
  readonly canExtendLogProb?: boolean;
  /** A step gives its whole cache too, to be the next one's input where it lies. */
  readonly keepsCache?: boolean;
}

/** How matrices are applied; may declare inputs of its own. */
export type MakeBuild = (graph: Graph, folder: ModelFolder) => Build;

/**
 * The graphs that answers need.
 * @throws WeightMismatchError naming the first tensor that is missing, unclaimed or of the wrong shape.
 */
export function buildGraphs(folder: ModelFolder, choice: GraphChoice = {}): ModelGraphs {
  const { makeBuild = frozenBuild, canExtend = false, canExtendLogProb = false } = choice;
  claimTensors(folder, expectedTensors(folder.config));
  return {
    prefill: encode(prefillGraph(folder, makeBuild)),
    decode: encode(decodeGraph(folder, makeBuild, choice)),
    logProb: encode(logProbGraph(folder, makeBuild)),
    ...(canExtend ? { extend: encode(extendGraph(folder, makeBuild)) } : {}),
    ...(canExtendLogProb ? judgingGraphs(folder, makeBuild) : {}),
  };
}

function judgingGraphs(folder: ModelFolder, makeBuild: MakeBuild) {
  return {
    extendLogProb: encode(extendLogProbGraph(folder, makeBuild)),
    extendCache: encode(extendCacheGraph(folder, makeBuild)),
  };
}

/**
 * tokenIds int64[B, T], lastRows int64[R] (indices into B·T) → logits[R, V], key.i and value.i [B, K, T, D].
 * Sequences are padded on the right: under the causal mask no token sees what follows it.
 */
function prefillGraph(folder: ModelFolder, makeBuild: MakeBuild): Graph {
  const graph = create("prefill");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const lastRows = input(graph, "lastRows", "int64", ["R"]);
  const build = makeBuild(graph, folder);
  const { hidden, cache } = runSequences(build, tokenIds, { kind: "prefix" });
  output(graph, "logits", project(build, op.rows(graph, hidden, lastRows)));
  outputCache(graph, cache, "key", "value");
  return graph;
}

/**
 * tokenIds int64[B, T], targetRows int64[R] (indices into B·T), targetIds int64[R] → logProbs[R]:
 * log p(targetIds[r] | the sequence up to and including row targetRows[r]), in nats.
 */
function logProbGraph(folder: ModelFolder, makeBuild: MakeBuild): Graph {
  const graph = create("logProb");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const targetRows = input(graph, "targetRows", "int64", ["R"]);
  const targetIds = input(graph, "targetIds", "int64", ["R"]);
  const build = makeBuild(graph, folder);
  const { hidden } = runSequences(build, tokenIds, { kind: "prefix" });
  outputLogProbs(build, op.rows(graph, hidden, targetRows), targetIds);
  return graph;
}

/** hidden[R, C] → logProbs[R], for `logProbGraph` and its like. */
function outputLogProbs(build: Build, hidden: Tensor, targetIds: Tensor): void {
  const { graph } = build;
  const logProbs = op.logSoftmax(graph, project(build, hidden));
  const picked = op.pick(graph, logProbs, op.unsqueeze(graph, targetIds, [1]));
  output(graph, "logProbs", op.reshape(graph, picked, ["R"]));
}

/**
 * T more tokens for B sequences: as `prefillGraph` with positions int64[B, T], and a past as `decodeGraph` has.
 * → logits[R, V], and key.i and value.i [B, K, T, D] of the new tokens.
 */
function extendGraph(folder: ModelFolder, makeBuild: MakeBuild): Graph {
  const graph = create("extend");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const positions = input(graph, "positions", "int64", ["B", "T"]);
  const lastRows = input(graph, "lastRows", "int64", ["R"]);
  const { pastBias, past } = pastInputs(graph, folder);
  const build = makeBuild(graph, folder);
  const { hidden, cache } = runSequences(build, tokenIds, { kind: "extend", positions, pastBias }, { past });
  output(graph, "logits", project(build, op.rows(graph, hidden, lastRows)));
  outputCache(graph, cache, "key", "value");
  return graph;
}

/** As `extendGraph` of one sequence, but with targetRows and targetIds → logProbs[R] as `logProbGraph` has. */
function extendLogProbGraph(folder: ModelFolder, makeBuild: MakeBuild): Graph {
  const graph = create("extendLogProb");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const positions = input(graph, "positions", "int64", ["B", "T"]);
  const targetRows = input(graph, "targetRows", "int64", ["R"]);
  const targetIds = input(graph, "targetIds", "int64", ["R"]);
  const { pastBias, past } = pastInputs(graph, folder);
  const build = makeBuild(graph, folder);
  const places = { kind: "extend", positions, pastBias } as const;
  const { hidden, cache } = runSequences(build, tokenIds, places, { past, wantedRows: targetRows });
  outputLogProbs(build, hidden, targetIds);
  outputCache(graph, cache, "key", "value");
  return graph;
}

/** As `extendGraph` for tokens of which nothing but keys and values is wanted: the last layer makes no more. */
function extendCacheGraph(folder: ModelFolder, makeBuild: MakeBuild): Graph {
  const graph = create("extendCache");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const positions = input(graph, "positions", "int64", ["B", "T"]);
  const { pastBias, past } = pastInputs(graph, folder);
  const build = makeBuild(graph, folder);
  const { cache } = runSequences(build, tokenIds, { kind: "extend", positions, pastBias }, { past });
  outputCache(graph, cache, "key", "value");
  return withoutUnused(graph);
}

/**
 * One step for B sequences against a cache the host owns: tokenIds int64[B], positions int64[B],
 * pastBias[B, P] (0 for slots in use, −∞ for the rest), pastKey.i and pastValue.i [B, K, P, D]
 * → logits[B, V], newKey.i and newValue.i [B, K, 1, D], which the host writes into the next slot. With `keepsCache`
 * also keptKey.i and keptValue.i [B, K, P, D]: the past with the new token in the slot of its position.
 */
function decodeGraph(folder: ModelFolder, makeBuild: MakeBuild, { keepsCache = false }: GraphChoice): Graph {
  const graph = create("decode");
  const tokenIds = input(graph, "tokenIds", "int64", ["B"]);
  const positions = input(graph, "positions", "int64", ["B"]);
  const { pastBias, past } = pastInputs(graph, folder);
  const build = makeBuild(graph, folder);
  const { hidden, cache } = runStep(build, tokenIds, { kind: "step", positions, pastBias }, past);
  output(graph, "logits", project(build, hidden));
  outputCache(graph, cache, "newKey", "newValue");
  if (!keepsCache) return graph;
  const slots = op.unsqueeze(graph, op.range(graph, "P"), [0, 1, 3]);
  const isNew = op.equal(graph, slots, op.unsqueeze(graph, positions, [1, 2, 3]));
  const kept = cache.map(({ key, value }, layer) => ({
    key: op.where(graph, isNew, key, past[layer]!.key),
    value: op.where(graph, isNew, value, past[layer]!.value),
  }));
  outputCache(graph, kept, "keptKey", "keptValue");
  return graph;
}

function pastInputs(graph: Graph, folder: ModelFolder) {
  const { keyValueHeadCount, headSize, layers } = folder.config;
  const pastBias = input(graph, "pastBias", "float32", ["B", "P"]);
  const past = layers.map((_, layer) => ({
    key: input(graph, `pastKey.${layer}`, "float32", ["B", keyValueHeadCount, "P", headSize]),
    value: input(graph, `pastValue.${layer}`, "float32", ["B", keyValueHeadCount, "P", headSize]),
  }));
  return { pastBias, past };
}

function outputCache(
  graph: Graph,
  cache: readonly { key: Tensor; value: Tensor }[],
  key: string,
  value: string,
): void {
  cache.forEach((layer, index) => {
    output(graph, `${key}.${index}`, layer.key);
    output(graph, `${value}.${index}`, layer.value);
  });
}
