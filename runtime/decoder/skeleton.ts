import { quantisedMatrix, weight } from "#runtime/families/weight-claims";
import { constantFloat, type Graph, share, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import { recomputed } from "#runtime/onnx/recompute";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { type Attended, attendSequences, attendStep, type Projections } from "./attention.ts";
import type { Attention, Decoder, FeedForward, Layer, Linear, Norm } from "./description.ts";
import { type Places, rowsAt } from "./positions.ts";

/**
 * The one skeleton of every family: embed, layers, final norm, logits. A graph of some purpose is this plus
 * its inputs and outputs. Sizes in docblocks: B sequences, T tokens, N = B·T rows, R chosen rows,
 * P cache slots, V vocabulary, K key/value heads, D head size, C hidden size.
 */
export interface Build {
  readonly graph: Graph;
  readonly folder: ModelFolder;
  readonly decoder: Decoder;
  /** How x[rows, in] meets a matrix an adapter can change; `frozen` unless the purpose has adapters. */
  readonly apply: (linear: Linear, x: Tensor) => Tensor;
}

/** A build whose matrices are applied as the folder holds them. */
export function frozenBuild(graph: Graph, folder: ModelFolder): Build {
  return {
    graph,
    folder,
    decoder: folder.config,
    apply: (linear, x) => op.frozenLinear(graph, x, frozenOf(graph, folder, linear)),
  };
}

/** The stored matrix and bias of a linear layer, as numbers or in blocks of codes. */
export function frozenOf(graph: Graph, folder: ModelFolder, linear: Linear): op.FrozenLinear {
  const { name, hasBias, lies } = linear;
  const bias = hasBias ? { bias: weight(graph, folder, `${name}.bias`) } : {};
  const stored = quantisedMatrix(folder, `${name}.weight`);
  if (stored) return { weight: { name, ...stored }, lies: "out-in", ...bias };
  return { weight: weight(graph, folder, `${name}.weight`), lies, ...bias };
}

/** What sequences run after, and what of them is wanted. */
export interface SequenceChoice {
  /** Keys and values [B, K, P, D] per layer, for places after a past. */
  readonly past?: readonly { readonly key: Tensor; readonly value: Tensor }[];
  /**
   * int64[R], indices into N: the rows that the last layer finishes; all by default. One sequence alone
   * (B = 1) where adapters may change its matrices.
   */
  readonly wantedRows?: Tensor;
}

/**
 * tokenIds int64[B, T] → hidden[N, C], or [R, C] of the wanted rows, before the final norm, and keys and values
 * [B, K, T, D] per layer.
 */
export function runSequences(
  build: Build,
  tokenIds: Tensor,
  places: Places,
  { past = [], wantedRows }: SequenceChoice = {},
): { hidden: Tensor; cache: { key: Tensor; value: Tensor }[] } {
  const { graph, decoder } = build;
  const cache: { key: Tensor; value: Tensor }[] = [];
  let hidden = op.reshape(graph, embed(build, tokenIds, places), ["N", decoder.hiddenSize]);
  decoder.layers.forEach((layer, index) => {
    const attend: Attend = (attention, x) => {
      const before = past[index];
      const attended = attendSequences(graph, decoder, attention, x, places, normalizer(build), before);
      cache.push({ key: attended.key, value: attended.value });
      return attended;
    };
    const isLast = index === decoder.layers.length - 1;
    hidden = runLayer(build, layer, hidden, attend, isLast ? wantedRows : undefined);
  });
  return { hidden, cache };
}

/** tokenIds int64[B] and past keys and values [B, K, P, D] per layer → hidden[B, C] and the new keys and values [B, K, 1, D]. */
export function runStep(
  build: Build,
  tokenIds: Tensor,
  places: Places,
  past: readonly { key: Tensor; value: Tensor }[],
): { hidden: Tensor; cache: { key: Tensor; value: Tensor }[] } {
  const { graph, decoder } = build;
  const cache: { key: Tensor; value: Tensor }[] = [];
  let hidden = embed(build, tokenIds, places);
  decoder.layers.forEach((layer, index) => {
    hidden = runLayer(build, layer, hidden, (attention, x) => {
      const attended = attendStep(graph, decoder, attention, x, places, past[index]!, normalizer(build));
      cache.push({ key: attended.key, value: attended.value });
      return attended;
    });
  });
  return { hidden, cache };
}

/** Final norm and output matrix: hidden[R, C] → logits[R, V]. */
export function project(build: Build, hidden: Tensor): Tensor {
  const { graph, folder, decoder } = build;
  const normed = normalize(build, hidden, decoder.norm);
  const logits = op.linear(graph, normed, weight(graph, folder, `${decoder.head.name}.weight`));
  return decoder.head.cap === null ? logits : op.softcap(graph, logits, decoder.head.cap);
}

/** Vectors of token ids, with what the family adds to them: [...ids, C]. */
function embed(build: Build, tokenIds: Tensor, places: Places): Tensor {
  const { graph, folder, decoder } = build;
  const { name, scale, positions, norm } = decoder.embedding;
  let vectors = op.scale(graph, op.rows(graph, weight(graph, folder, `${name}.weight`), tokenIds), scale);
  if (positions) {
    const table = weight(graph, folder, `${positions.name}.weight`);
    vectors = op.add(graph, vectors, rowsAt(graph, table, places));
  }
  return norm ? normalize(build, vectors, norm) : vectors;
}

type Attend = (attention: Attention, x: Projections) => Attended;

/** Every row attends; what follows is done for the wanted rows. */
function runLayer(
  build: Build,
  { attention, feedForward, wiring }: Layer,
  all: Tensor,
  attend: Attend,
  wantedRows?: Tensor,
): Tensor {
  const { graph } = build;
  const wanted = (x: Tensor) => (wantedRows ? op.rows(graph, x, wantedRows) : x);
  const allNormed = normalize(build, all, attention.norm);
  const { context } = attend(attention, projections(build, attention, allNormed));
  const [hidden, normed] = [wanted(all), wanted(allNormed)];
  const mixed = finish(build, attention, wanted(context));
  if (wiring === "parallel") {
    const input = feedForward.norm ? normalize(build, hidden, feedForward.norm) : normed;
    return op.add(graph, hidden, op.add(graph, mixed, widen(build, feedForward, input)));
  }
  const between = op.add(graph, hidden, mixed);
  const input = feedForward.norm ? normalize(build, between, feedForward.norm) : between;
  return op.add(graph, between, widen(build, feedForward, input));
}

/** x[N, C] → query[N, H·D], key[N, K·D], value[N, K·D], from three matrices or one. */
function projections({ graph, decoder, apply }: Build, { input }: Attention, x: Tensor): Projections {
  if (input.kind === "three") {
    return { query: apply(input.query, x), key: apply(input.key, x), value: apply(input.value, x) };
  }
  const { headSize, headCount, keyValueHeadCount: heads } = decoder;
  const fused = apply(input.fused, x);
  const rows = x.shape[0]!;
  if (input.kind === "blocks") {
    const sizes = [headCount * headSize, heads * headSize, heads * headSize];
    const [query, key, value] = op.split(graph, fused, sizes);
    return { query: query!, key: key!, value: value! };
  }
  const group = headCount / heads;
  const grouped = op.reshape(graph, fused, [rows, heads, (group + 2) * headSize]);
  const parts = op.split(graph, grouped, [group * headSize, headSize, headSize]);
  const [query, key, value] = parts.map((part, index) =>
    op.reshape(graph, part, [rows, index === 0 ? headCount * headSize : heads * headSize]),
  );
  return { query: query!, key: key!, value: value! };
}

const activations = { silu: op.silu, gelu: op.gelu, geluTanh: op.geluTanh };

function widen(build: Build, feedForward: FeedForward, x: Tensor): Tensor {
  const { graph, apply } = build;
  const { input } = feedForward;
  const activate = (gate: Tensor) => activations[feedForward.activation](graph, gate);
  if (input.kind === "plain") return finish(build, feedForward, activate(apply(input.up, x)));
  const [gate, up] =
    input.kind === "gated"
      ? [apply(input.gate, x), apply(input.up, x)]
      : op.halves(graph, apply(input.fused, x));
  const gated = recomputed(graph, [gate, up], (gate, up) => op.mul(graph, activate(gate), up));
  return finish(build, feedForward, gated);
}

/** The output matrix of a block, and the norm after it where there is one. */
function finish(build: Build, block: Attention | FeedForward, x: Tensor): Tensor {
  const result = build.apply(block.output, x);
  return block.outputNorm ? normalize(build, result, block.outputNorm) : result;
}

const normalizer = (build: Build) => (x: Tensor, norm: Norm) => normalize(build, x, norm);

function normalize({ graph, folder }: Build, x: Tensor, { kind, name, epsilon }: Norm): Tensor {
  const stored = weight(graph, folder, `${name}.weight`);
  if (kind === "layer") {
    const bias = weight(graph, folder, `${name}.bias`);
    return recomputed(graph, [x], (x) => op.layerNorm(graph, x, stored, bias, epsilon));
  }
  const factor =
    kind === "rms"
      ? stored
      : share(graph, `offset ${name}`, () => op.add(graph, stored, constantFloat(graph, 1)));
  return recomputed(graph, [x], (x) => op.rmsNorm(graph, x, factor, epsilon));
}
