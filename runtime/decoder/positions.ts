import { invariant } from "#runtime/errors";
import {
  constantFloat,
  constantFloats,
  constantIntegers,
  type Graph,
  share,
  type Tensor,
} from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import { blockTokens } from "#runtime/time-block";
import { alibiTable } from "./alibi.ts";
import type { Alibi, Attention, Decoder, Rope } from "./description.ts";
import { ropeTables } from "./rope.ts";

/**
 * Where the tokens of a graph stand. `prefix`: every sequence starts at position 0, one table of positions
 * [T] for all. `packed`: several documents may share a row; positions int64[B, T] start again in each, and
 * segments int64[B, T] tell which tokens belong together. `step`: one new token per sequence at
 * positions int64[B], before which `pastBias` [B, P] tells the slots in use (0, −∞ for the rest).
 * `extend`: T new tokens per sequence at positions int64[B, T] after such a past.
 */
export type Places =
  | { readonly kind: "prefix" }
  | { readonly kind: "packed"; readonly positions: Tensor; readonly segments: Tensor }
  | { readonly kind: "step"; readonly positions: Tensor; readonly pastBias: Tensor }
  | { readonly kind: "extend"; readonly positions: Tensor; readonly pastBias: Tensor };

/** Cosines and sines for queries or keys: [T, 1, 1, W], [B, T, 1, 1, W] or, for a step, [B, 1, 1, W]. */
export function rotationOf(graph: Graph, decoder: Decoder, places: Places, rope: Rope): op.Rotation {
  const key = `rope ${JSON.stringify(rope)}`;
  const positions = blockTokens(decoder.contextTokensMax);
  const table = (part: "cos" | "sin") =>
    share(graph, `${key} ${part}`, (name) => {
      const { columns, [part]: values } = ropeTables(rope, decoder.headSize, positions);
      return constantFloats(graph, name, values, [positions, columns]);
    });
  const placed = (part: "cos" | "sin") =>
    share(graph, `placed ${key} ${part}`, () => {
      const rows = rowsAt(graph, table(part), places);
      return op.unsqueeze(graph, rows, isPerRow(places) ? [2, 3] : [1, 2]);
    });
  return { cos: placed("cos"), sin: placed("sin") };
}

/**
 * What is added to scores of whole sequences, 0 or an ALiBi bias where a key is seen and −∞ elsewhere;
 * broadcasts to [B, K, T, G, T]. The last axis is keys.
 */
export function sequenceBias(graph: Graph, decoder: Decoder, places: Places, attention: Attention): Tensor {
  const { windowTokens, position } = attention;
  const alibi = position?.kind === "alibi" ? position : null;
  return share(graph, `bias ${windowTokens} ${JSON.stringify(alibi)}`, () => {
    const slope = alibi ? keyBias(graph, decoder, places, alibi) : constantFloat(graph, 0);
    const hidden = constantFloat(graph, Number.NEGATIVE_INFINITY);
    return op.where(graph, seen(graph, places, windowTokens), slope, hidden);
  });
}

/** What is added to the scores of T new tokens over the past; broadcasts to [B, K, T, G, P]. */
export function extendBias(
  graph: Graph,
  decoder: Decoder,
  places: Places,
  { windowTokens, position }: Attention,
): Tensor {
  invariant(places.kind === "extend", "new tokens after a past");
  const alibi = position?.kind === "alibi" ? position : null;
  return share(graph, `extend bias ${windowTokens} ${JSON.stringify(alibi)}`, () => {
    let bias = op.unsqueeze(graph, places.pastBias, [1, 2, 3]);
    if (windowTokens !== null) {
      const slots = op.add(graph, op.range(graph, "P"), constantIntegers(graph, windowTokens - 1));
      const near = op.greaterOrEqual(graph, slots, op.unsqueeze(graph, places.positions, [1, 3, 4]));
      bias = op.where(graph, near, bias, constantFloat(graph, Number.NEGATIVE_INFINITY));
    }
    if (!alibi) return bias;
    return op.add(graph, bias, op.unsqueeze(graph, slotSlopes(graph, decoder, alibi), [1]));
  });
}

/** What is added to a step's scores: over the past, broadcasts to [B, K, G, P], and on the new token itself. */
export function stepBias(
  graph: Graph,
  decoder: Decoder,
  places: Places,
  { windowTokens, position }: Attention,
): { past: Tensor; own: Tensor | null } {
  invariant(places.kind === "step", "one new token");
  const alibi = position?.kind === "alibi" ? position : null;
  const past = share(graph, `past bias ${windowTokens} ${JSON.stringify(alibi)}`, () => {
    let bias = op.unsqueeze(graph, places.pastBias, [1, 2]);
    if (windowTokens !== null) {
      const slots = op.add(graph, op.range(graph, "P"), constantIntegers(graph, windowTokens - 1));
      const near = op.greaterOrEqual(graph, slots, op.unsqueeze(graph, places.positions, [1]));
      const far = constantFloat(graph, Number.NEGATIVE_INFINITY);
      bias = op.where(graph, op.unsqueeze(graph, near, [1, 2]), bias, far);
    }
    return alibi ? op.add(graph, bias, slotSlopes(graph, decoder, alibi)) : bias;
  });
  return { past, own: alibi ? ownSlope(graph, decoder, places.positions, alibi) : null };
}

/** Rows of a table [positions, W] for the tokens of a graph: [T, W], [B, T, W] or [B, W]. */
export function rowsAt(graph: Graph, table: Tensor, places: Places): Tensor {
  if (places.kind !== "prefix") return op.rows(graph, table, places.positions);
  return op.slice(graph, table, { axis: 0, from: 0, to: op.size(graph, "T"), dim: "T" });
}

/** Whether every sequence has positions of its own, [B, T]. */
function isPerRow({ kind }: Places): boolean {
  return kind === "packed" || kind === "extend";
}

/** bool[T, 1, T], or [B, 1, T, 1, T] for packed documents: a key is not later, not beyond the window, of the same document. */
function seen(graph: Graph, places: Places, windowTokens: number | null): Tensor {
  invariant(places.kind !== "step", "whole sequences");
  const isPacked = places.kind === "packed";
  const steps = isPacked ? places.positions : op.range(graph, "T");
  const query = (x: Tensor) => op.unsqueeze(graph, x, isPacked ? [1, 3, 4] : [1, 2]);
  const key = (x: Tensor) => op.unsqueeze(graph, x, isPacked ? [1, 2, 3] : [0, 1]);
  let sees = op.greaterOrEqual(graph, query(steps), key(steps));
  if (windowTokens !== null) {
    const reach = op.add(graph, key(steps), constantIntegers(graph, windowTokens - 1));
    sees = op.and(graph, sees, op.greaterOrEqual(graph, reach, query(steps)));
  }
  if (!isPacked) return sees;
  return op.and(graph, sees, op.equal(graph, query(places.segments), key(places.segments)));
}

/** ALiBi biases of whole sequences: [K, 1, G, T], or [B, K, 1, G, T] for packed documents. */
function keyBias(graph: Graph, decoder: Decoder, places: Places, alibi: Alibi): Tensor {
  const [heads, group] = [decoder.keyValueHeadCount, decoder.headCount / decoder.keyValueHeadCount];
  const rows = rowsAt(graph, slopes(graph, decoder, alibi), places);
  if (places.kind === "prefix") {
    return op.reshape(graph, op.transpose(graph, rows, [1, 0]), [heads, 1, group, "T"]);
  }
  return op.reshape(graph, op.transpose(graph, rows, [0, 2, 1]), ["B", heads, 1, group, "T"]);
}

/** ALiBi biases of the first P slots: [K, G, P]. */
function slotSlopes(graph: Graph, decoder: Decoder, alibi: Alibi): Tensor {
  const [heads, group] = [decoder.keyValueHeadCount, decoder.headCount / decoder.keyValueHeadCount];
  const range = { axis: 0, from: 0, to: op.size(graph, "P"), dim: "P" };
  const rows = op.slice(graph, slopes(graph, decoder, alibi), range);
  return op.reshape(graph, op.transpose(graph, rows, [1, 0]), [heads, group, "P"]);
}

/** ALiBi bias of a step's own token: [B, K, G, 1]. */
function ownSlope(graph: Graph, decoder: Decoder, positions: Tensor, alibi: Alibi): Tensor {
  const [heads, group] = [decoder.keyValueHeadCount, decoder.headCount / decoder.keyValueHeadCount];
  return op.reshape(graph, op.rows(graph, slopes(graph, decoder, alibi), positions), ["B", heads, group, 1]);
}

function slopes(graph: Graph, decoder: Decoder, alibi: Alibi): Tensor {
  const positions = blockTokens(decoder.contextTokensMax);
  return share(graph, `alibi ${JSON.stringify(alibi)}`, (name) => {
    const table = alibiTable(alibi, decoder.headCount, decoder.headSize, positions);
    return constantFloats(graph, name, table, [positions, decoder.headCount]);
  });
}
