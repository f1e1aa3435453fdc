import type { Graph, Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import { recomputed } from "#runtime/onnx/recompute";
import type { Attention, Decoder, Rope } from "./description.ts";
import { extendBias, type Places, rotationOf, sequenceBias, stepBias } from "./positions.ts";

/**
 * Grouped-query attention. Sizes in docblocks: B sequences, T tokens, N = B·T rows, P cache slots, H heads,
 * K key/value heads, G = H / K, D head size. Queries of one group are rows of one matrix against their
 * shared keys, so that neither direction repeats or sums keys.
 */

/** What one layer's input becomes: query[N, H·D], key[N, K·D], value[N, K·D]. */
export interface Projections {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** context[N, H·D] for the output matrix; keys and values as the cache holds them. */
export interface Attended {
  readonly context: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Normalise the last axis as the layer says; what a decoder's `norm` does. */
export type Normalize = (x: Tensor, norm: NonNullable<Attention["queryNorm"]>) => Tensor;

/**
 * Whole sequences, each token seeing what its place allows; after a past, past.key and past.value
 * [B, K, P, D], all of what is in use there too. Keys and values are [B, K, T, D].
 */
export function attendSequences(
  graph: Graph,
  decoder: Decoder,
  attention: Attention,
  x: Projections,
  places: Places,
  normalize: Normalize,
  past?: { key: Tensor; value: Tensor },
): Attended {
  const { headSize, keyValueHeadCount: heads } = decoder;
  const group = decoder.headCount / heads;
  const turned = turn(graph, decoder, attention, places);
  const ready = (part: Tensor, count: number, norm: Attention["queryNorm"]) => {
    const split = op.reshape(graph, part, ["B", "T", heads, count, headSize]);
    return op.transpose(graph, turned(norm ? normalize(split, norm) : split), [0, 2, 1, 3, 4]);
  };
  const query = op.scale(graph, ready(x.query, group, attention.queryNorm), attention.scale);
  const key = op.reshape(graph, ready(x.key, 1, attention.keyNorm), ["B", heads, "T", headSize]);
  const value = op.transpose(graph, op.reshape(graph, x.value, ["B", "T", heads, headSize]), [0, 2, 1, 3]);
  const rows = op.reshape(graph, query, ["B", heads, "T*G", headSize]);
  const folded = (weights: Tensor) => op.reshape(graph, weights, ["B", heads, "T*G", weights.shape.at(-1)!]);
  // The scores are the square of the sequence: derivatives compute them again.
  const mixed = recomputed(graph, [rows, key, value], (queries, keys, values) => {
    const scored = (known: Tensor, bias: Tensor) => {
      const scores = capped(graph, attention, op.matmul(graph, queries, op.flip(graph, known)));
      return op.add(graph, op.reshape(graph, scores, ["B", heads, "T", group, known.shape[2]!]), bias);
    };
    const own = scored(keys, sequenceBias(graph, decoder, places, attention));
    if (!past) return op.matmul(graph, folded(op.softmax(graph, own)), values);
    const before = scored(past.key, extendBias(graph, decoder, places, attention));
    const weighed = weighBoth(graph, before, own);
    const recent = op.matmul(graph, folded(weighed.own), values);
    return op.add(graph, op.matmul(graph, folded(weighed.past), past.value), recent);
  });
  const spread = op.reshape(graph, mixed, ["B", heads, "T", group, headSize]);
  const context = op.transpose(graph, spread, [0, 2, 1, 3, 4]);
  return { context: op.reshape(graph, context, ["N", decoder.headCount * headSize]), key, value };
}

/** One softmax over past[…, P] and own[…, T] scores, given back in two. */
function weighBoth(graph: Graph, past: Tensor, own: Tensor): { past: Tensor; own: Tensor } {
  const weights = op.softmax(graph, op.concat(graph, [past, own], -1));
  const edge = op.size(graph, "P");
  return {
    past: op.slice(graph, weights, { axis: -1, from: 0, to: edge, dim: "P" }),
    own: op.slice(graph, weights, { axis: -1, from: edge, to: Number.MAX_SAFE_INTEGER, dim: "T" }),
  };
}

/**
 * One new token per sequence against P cached ones, past.key and past.value [B, K, P, D]. Past and new are
 * attended separately, so the cache is never copied. Keys and values are [B, K, 1, D].
 */
export function attendStep(
  graph: Graph,
  decoder: Decoder,
  attention: Attention,
  x: Projections,
  places: Places,
  past: { key: Tensor; value: Tensor },
  normalize: Normalize,
): Attended {
  const { headSize, keyValueHeadCount: heads } = decoder;
  const turned = turn(graph, decoder, attention, places);
  const ready = (part: Tensor, count: number, norm: Attention["queryNorm"]) => {
    const split = op.reshape(graph, part, ["B", heads, count, headSize]);
    return turned(norm ? normalize(split, norm) : split);
  };
  const group = decoder.headCount / heads;
  const query = op.scale(graph, ready(x.query, group, attention.queryNorm), attention.scale);
  const key = ready(x.key, 1, attention.keyNorm);
  const value = op.reshape(graph, x.value, ["B", heads, 1, headSize]);
  const bias = stepBias(graph, decoder, places, attention);
  const scored = (keys: Tensor) => {
    const scores = byGroup(graph, decoder, query, keys, "flipped");
    return capped(graph, attention, scores);
  };
  const pastScores = op.add(graph, scored(past.key), bias.past);
  const newScore = bias.own ? op.add(graph, scored(key), bias.own) : scored(key);
  const weights = op.softmax(graph, op.concat(graph, [pastScores, newScore], -1));
  const pastWeights = op.slice(graph, weights, { axis: -1, from: 0, to: -1, dim: "P" });
  const newWeight = op.slice(graph, weights, { axis: -1, from: -1, to: Number.MAX_SAFE_INTEGER, dim: 1 });
  const recalled = byGroup(graph, decoder, pastWeights, past.value);
  const mixed = op.add(graph, recalled, op.mul(graph, newWeight, value));
  return { context: op.reshape(graph, mixed, ["B", decoder.headCount * headSize]), key, value };
}

/**
 * x[B, K, G, M] · y[B, K, M, N] → [B, K, G, N], y given as [B, K, N, M] where it is flipped. A pair of rows is
 * multiplied one by one: the kernel of a single row reads y as it lies, where that of several first copies it, which
 * only more than two rows repay. Not with one key/value head: ONNX Runtime would fold the rows of a lone sequence into
 * one product, with other bits. The flip stands beside the product, so that both are one node, which moves nothing.
 */
function byGroup(
  graph: Graph,
  { headCount, keyValueHeadCount: heads }: Decoder,
  x: Tensor,
  y: Tensor,
  lies?: "flipped",
): Tensor {
  const straight = (given: Tensor) => (lies === "flipped" ? op.flip(graph, given) : given);
  if (heads === 1 || headCount / heads !== 2) return op.matmul(graph, x, straight(y));
  const each = op.matmul(graph, op.unsqueeze(graph, x, [3]), straight(op.unsqueeze(graph, y, [2])));
  return op.reshape(graph, each, ["B", heads, 2, each.shape.at(-1)!]);
}

/** Rotary positions on the channels that have them; nothing where positions come otherwise. */
function turn(
  graph: Graph,
  decoder: Decoder,
  { position }: Attention,
  places: Places,
): (x: Tensor) => Tensor {
  if (position?.kind !== "rope") return (x) => x;
  const rotation = rotationOf(graph, decoder, places, position);
  if (position.pairs === "neighbours") return (x) => op.rotatePairs(graph, x, rotation);
  const rest = decoder.headSize - position.width;
  if (rest === 0) return (x) => op.rotateHalves(graph, x, rotation);
  return (x) => turnPart(graph, position, rest, rotation, x);
}

function turnPart(graph: Graph, rope: Rope, rest: number, rotation: op.Rotation, x: Tensor): Tensor {
  const [turning, still] = op.split(graph, x, [rope.width, rest]);
  return op.concat(graph, [op.rotateHalves(graph, turning!, rotation), still!], -1);
}

function capped(graph: Graph, { cap }: Attention, scores: Tensor): Tensor {
  return cap === null ? scores : op.softcap(graph, scores, cap);
}
