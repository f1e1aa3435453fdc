import {
  constantFloat,
  constantFloats,
  create,
  type Graph,
  input,
  output,
  type Tensor,
} from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import * as op from "#runtime/onnx/ops";
import type { ModelConfig } from "#runtime/weights/model-config";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { ropeTables } from "./rope.ts";
import { claimTensors, weight } from "./weight-claims.ts";

/**
 * Llama-family decoder (Touvron et al. 2023): RMSNorm before each block, rotary positions, grouped
 * query attention, SwiGLU. Sizes in docblocks: B sequences, T tokens, N = B·T rows, R chosen rows,
 * P cache slots, V vocabulary, H heads, K key/value heads, G = H / K, D head size.
 */
export interface ModelGraphs {
  readonly prefill: Uint8Array;
  readonly decode: Uint8Array;
  readonly logProb: Uint8Array;
}

/** One graph per purpose, as encoded ONNX models whose weights point into the folder's safetensors file. */
export function buildGraphs(folder: ModelFolder): ModelGraphs {
  claimTensors(folder, expectedTensors(folder.config));
  return {
    prefill: encode(prefillGraph(folder)),
    decode: encode(decodeGraph(folder)),
    logProb: encode(logProbGraph(folder)),
  };
}

/** Published tensor names and shapes of this family. */
export function expectedTensors(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize: hidden, intermediateSize: wide, vocabularySize: vocabulary } = config;
  const queryWidth = config.headCount * config.headSize;
  const keyWidth = config.keyValueHeadCount * config.headSize;
  const shapes = new Map([
    ["model.embed_tokens.weight", [vocabulary, hidden]],
    ["model.norm.weight", [hidden]],
  ]);
  if (!config.tiesEmbeddings) shapes.set("lm_head.weight", [vocabulary, hidden]);
  for (let layer = 0; layer < config.layerCount; layer++) {
    const name = (part: string) => `model.layers.${layer}.${part}.weight`;
    shapes.set(name("input_layernorm"), [hidden]);
    shapes.set(name("post_attention_layernorm"), [hidden]);
    shapes.set(name("self_attn.q_proj"), [queryWidth, hidden]);
    shapes.set(name("self_attn.k_proj"), [keyWidth, hidden]);
    shapes.set(name("self_attn.v_proj"), [keyWidth, hidden]);
    shapes.set(name("self_attn.o_proj"), [hidden, queryWidth]);
    shapes.set(name("mlp.gate_proj"), [wide, hidden]);
    shapes.set(name("mlp.up_proj"), [wide, hidden]);
    shapes.set(name("mlp.down_proj"), [hidden, wide]);
  }
  return shapes;
}

/**
 * tokenIds int64[B, T], lastRows int64[R] (indices into B·T) → logits[R, V], key.i and value.i [B, K, T, D].
 * Sequences are padded on the right: under the causal mask no token sees what follows it.
 */
function prefillGraph(folder: ModelFolder): Graph {
  const graph = create("prefill");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const lastRows = input(graph, "lastRows", "int64", ["R"]);
  const { hidden, cache } = runSequences(graph, folder, tokenIds);
  output(graph, "logits", project(graph, folder, op.rows(graph, hidden, lastRows)));
  cache.forEach(({ key, value }, layer) => {
    output(graph, `key.${layer}`, key);
    output(graph, `value.${layer}`, value);
  });
  return graph;
}

/**
 * tokenIds int64[B, T], targetRows int64[R] (indices into B·T), targetIds int64[R] → logProbs[R]:
 * log p(targetIds[r] | the sequence up to and including row targetRows[r]), in nats.
 */
function logProbGraph(folder: ModelFolder): Graph {
  const graph = create("logProb");
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const targetRows = input(graph, "targetRows", "int64", ["R"]);
  const targetIds = input(graph, "targetIds", "int64", ["R"]);
  const { hidden } = runSequences(graph, folder, tokenIds);
  const logProbs = op.logSoftmax(graph, project(graph, folder, op.rows(graph, hidden, targetRows)));
  const picked = op.pick(graph, logProbs, op.unsqueeze(graph, targetIds, [1]));
  output(graph, "logProbs", op.reshape(graph, picked, ["R"]));
  return graph;
}

/**
 * One step for B sequences against a cache the host owns: tokenIds int64[B], positions int64[B],
 * pastBias[B, P] (0 for slots in use, −∞ for the rest), pastKey.i and pastValue.i [B, K, P, D]
 * → logits[B, V], newKey.i and newValue.i [B, K, 1, D], which the host writes into the next slot.
 * Past and new keys are attended separately, so the cache is never copied out.
 */
function decodeGraph(folder: ModelFolder): Graph {
  const { layerCount, keyValueHeadCount, headSize } = folder.config;
  const graph = create("decode");
  const tokenIds = input(graph, "tokenIds", "int64", ["B"]);
  const positions = input(graph, "positions", "int64", ["B"]);
  const bias = op.unsqueeze(graph, input(graph, "pastBias", "float32", ["B", "P"]), [1, 2]);
  const past = Array.from({ length: layerCount }, (_, layer) => ({
    key: input(graph, `pastKey.${layer}`, "float32", ["B", keyValueHeadCount, "P", headSize]),
    value: input(graph, `pastValue.${layer}`, "float32", ["B", keyValueHeadCount, "P", headSize]),
  }));
  const tables = ropeInputs(graph, folder.config);
  const rotation = {
    cos: op.unsqueeze(graph, op.rows(graph, tables.cos, positions), [1]),
    sin: op.unsqueeze(graph, op.rows(graph, tables.sin, positions), [1]),
  };
  let hidden = op.rows(graph, weight(graph, folder, "model.embed_tokens.weight"), tokenIds);
  past.forEach((cached, layer) => {
    const result = decoderLayer(graph, folder, layer, hidden, (x) =>
      stepAttention(graph, folder.config, x, cached, bias, rotation),
    );
    output(graph, `newKey.${layer}`, result.key);
    output(graph, `newValue.${layer}`, result.value);
    hidden = result.hidden;
  });
  output(graph, "logits", project(graph, folder, hidden));
  return graph;
}

interface Projections {
  /** [N, H·D], [N, K·D], [N, K·D], before rotary positions. */
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}
interface Attended {
  /** [N, H·D]. */
  readonly context: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}
interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** tokenIds[B, T] → hidden[N, hidden size] after the last layer, and each layer's keys and values. */
function runSequences(graph: Graph, folder: ModelFolder, tokenIds: Tensor) {
  const tables = ropeInputs(graph, folder.config);
  const positions = op.range(graph, "T");
  const rotation = {
    cos: op.unsqueeze(graph, op.rows(graph, tables.cos, positions), [1]),
    sin: op.unsqueeze(graph, op.rows(graph, tables.sin, positions), [1]),
  };
  const bias = causalBias(graph, positions);
  const embedding = weight(graph, folder, "model.embed_tokens.weight");
  let hidden = op.reshape(graph, op.rows(graph, embedding, tokenIds), ["N", folder.config.hiddenSize]);
  const cache: { key: Tensor; value: Tensor }[] = [];
  for (let layer = 0; layer < folder.config.layerCount; layer++) {
    const result = decoderLayer(graph, folder, layer, hidden, (x) =>
      causalAttention(graph, folder.config, x, bias, rotation),
    );
    cache.push({ key: result.key, value: result.value });
    hidden = result.hidden;
  }
  return { hidden, cache };
}

/** One decoder layer on rows: hidden[N, hidden size] → same shape, plus this layer's keys and values. */
function decoderLayer(
  graph: Graph,
  folder: ModelFolder,
  layer: number,
  hidden: Tensor,
  attend: (projections: Projections) => Attended,
): { hidden: Tensor; key: Tensor; value: Tensor } {
  const named = (part: string) => weight(graph, folder, `model.layers.${layer}.${part}.weight`);
  const normed = rmsNorm(graph, folder.config, hidden, named("input_layernorm"));
  const { context, key, value } = attend({
    query: op.linear(graph, normed, named("self_attn.q_proj")),
    key: op.linear(graph, normed, named("self_attn.k_proj")),
    value: op.linear(graph, normed, named("self_attn.v_proj")),
  });
  const attended = op.add(graph, hidden, op.linear(graph, context, named("self_attn.o_proj")));
  const normedAgain = rmsNorm(graph, folder.config, attended, named("post_attention_layernorm"));
  const gate = op.linear(graph, normedAgain, named("mlp.gate_proj"));
  const gated = op.mul(
    graph,
    op.mul(graph, gate, op.sigmoid(graph, gate)),
    op.linear(graph, normedAgain, named("mlp.up_proj")),
  );
  return { hidden: op.add(graph, attended, op.linear(graph, gated, named("mlp.down_proj"))), key, value };
}

/** Whole sequences: every token attends to itself and those before it. Keys and values are [B, K, T, D]. */
function causalAttention(
  graph: Graph,
  config: ModelConfig,
  x: Projections,
  bias: Tensor,
  rotation: Rotation,
): Attended {
  const { keyValueHeadCount: heads, headSize, headCount } = config;
  const spread = { cos: op.unsqueeze(graph, rotation.cos, [1]), sin: op.unsqueeze(graph, rotation.sin, [1]) };
  const query = op.reshape(graph, x.query, ["B", "T", heads, headCount / heads, headSize]);
  const key = op.reshape(graph, x.key, ["B", "T", heads, headSize]);
  const value = op.transpose(graph, op.reshape(graph, x.value, ["B", "T", heads, headSize]), [0, 2, 1, 3]);
  const turnedQuery = op.transpose(graph, rotate(graph, query, spread), [0, 2, 3, 1, 4]);
  const turnedKey = op.transpose(graph, rotate(graph, key, rotation), [0, 2, 1, 3]);
  const keyColumns = op.unsqueeze(graph, op.transpose(graph, turnedKey, [0, 1, 3, 2]), [2]);
  const scores = scaled(graph, config, op.matmul(graph, turnedQuery, keyColumns));
  const weights = op.softmax(graph, op.add(graph, scores, bias));
  const mixed = op.matmul(graph, weights, op.unsqueeze(graph, value, [2]));
  const context = op.reshape(graph, op.transpose(graph, mixed, [0, 3, 1, 2, 4]), ["N", headCount * headSize]);
  return { context, key: turnedKey, value };
}

/** One new token per sequence against P cached ones. Keys and values are [B, K, 1, D]. */
function stepAttention(
  graph: Graph,
  config: ModelConfig,
  x: Projections,
  past: { key: Tensor; value: Tensor },
  bias: Tensor,
  rotation: Rotation,
): Attended {
  const { keyValueHeadCount: heads, headSize, headCount } = config;
  const group = headCount / heads;
  const spread = { cos: op.unsqueeze(graph, rotation.cos, [1]), sin: op.unsqueeze(graph, rotation.sin, [1]) };
  const query = rotate(graph, op.reshape(graph, x.query, ["B", heads, group, headSize]), spread);
  const key = rotate(graph, op.reshape(graph, x.key, ["B", heads, 1, headSize]), spread);
  const value = op.reshape(graph, x.value, ["B", heads, 1, headSize]);
  const columns = (keys: Tensor) => op.transpose(graph, keys, [0, 1, 3, 2]);
  const pastScores = op.add(graph, scaled(graph, config, op.matmul(graph, query, columns(past.key))), bias);
  const newScore = scaled(graph, config, op.matmul(graph, query, columns(key)));
  const weights = op.softmax(graph, op.concat(graph, [pastScores, newScore], -1));
  const pastWeights = op.slice(graph, weights, { axis: -1, from: 0, to: -1, dim: "P" });
  const newWeight = op.slice(graph, weights, { axis: -1, from: -1, to: Number.MAX_SAFE_INTEGER, dim: 1 });
  const mixed = op.add(graph, op.matmul(graph, pastWeights, past.value), op.mul(graph, newWeight, value));
  return { context: op.reshape(graph, mixed, ["B", headCount * headSize]), key, value };
}

/** Turn channel pairs (i, i + D/2) by their position's angle: x[…, D] with cos and sin broadcast over […, D/2]. */
function rotate(graph: Graph, x: Tensor, { cos, sin }: Rotation): Tensor {
  const [low, high] = op.halves(graph, x);
  const turnedLow = op.sub(graph, op.mul(graph, low, cos), op.mul(graph, high, sin));
  const turnedHigh = op.add(graph, op.mul(graph, high, cos), op.mul(graph, low, sin));
  return op.concat(graph, [turnedLow, turnedHigh], -1);
}

/** x / √(mean(x²) + ε) · scale over the last axis. Source: Zhang and Sennrich 2019, Eq. 4. */
function rmsNorm(graph: Graph, config: ModelConfig, x: Tensor, scale: Tensor): Tensor {
  const meanSquare = op.meanLast(graph, op.mul(graph, x, x));
  const root = op.sqrt(graph, op.add(graph, meanSquare, constantFloat(graph, config.rmsEpsilon)));
  return op.mul(graph, op.mul(graph, x, op.reciprocal(graph, root)), scale);
}

/** Final norm and output layer: hidden[R, hidden size] → logits[R, V]. */
function project(graph: Graph, folder: ModelFolder, hidden: Tensor): Tensor {
  const normed = rmsNorm(graph, folder.config, hidden, weight(graph, folder, "model.norm.weight"));
  const head = folder.config.tiesEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  return op.linear(graph, normed, weight(graph, folder, head));
}

function scaled(graph: Graph, config: ModelConfig, scores: Tensor): Tensor {
  return op.mul(graph, scores, constantFloat(graph, 1 / Math.sqrt(config.headSize)));
}

/** bias[T, T]: 0 where column ≤ row, −∞ elsewhere. */
function causalBias(graph: Graph, positions: Tensor): Tensor {
  const sees = op.greaterOrEqual(
    graph,
    op.unsqueeze(graph, positions, [1]),
    op.unsqueeze(graph, positions, [0]),
  );
  return op.where(graph, sees, constantFloat(graph, 0), constantFloat(graph, Number.NEGATIVE_INFINITY));
}

function ropeInputs(graph: Graph, config: ModelConfig): Rotation {
  const { positions, cos, sin } = ropeTables(config);
  const shape = [positions, config.headSize / 2];
  return {
    cos: constantFloats(graph, "rope.cos", cos, shape),
    sin: constantFloats(graph, "rope.sin", sin, shape),
  };
}
