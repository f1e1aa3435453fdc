import { invariant } from "#runtime/errors";
import { add, erf, exp, log, mul, neg, reciprocal, scale, sigmoid, sqrt, sub, tanh } from "./elementwise.ts";
import { constantFloat, constantFloats, type Graph, share, type Tensor } from "./graph.ts";
import { addAt, concat, halves, pick, reshape, unsqueeze } from "./layout.ts";
import { matmul } from "./matrix.ts";
import { maxLast, meanLast, sumLast } from "./reductions.ts";
import { record, unbroadcast, unrecorded } from "./tape.ts";

/**
 * Operations of decoders, made of primitive ones. Where the derivative is shorter than the chain rule
 * would find, it is stated here; g is the result's gradient.
 */

/** x · sigmoid(x) → same shape. With s = sigmoid(x), y = x·s: pullback g · (s + y − y·s). */
export function silu(graph: Graph, x: Tensor): Tensor {
  return unrecordedThen(graph, () => {
    const s = sigmoid(graph, x);
    const y = mul(graph, x, s);
    const pull = (g: Tensor) => mul(graph, g, sub(graph, add(graph, s, y), mul(graph, y, s)));
    return { inputs: [x], output: y, pullbacks: [pull] };
  });
}

/** Gaussian error linear unit, x · Φ(x) → same shape. Source: Hendrycks and Gimpel 2016, Eq. 1. */
export function gelu(graph: Graph, x: Tensor): Tensor {
  const tail = erf(graph, scale(graph, x, Math.SQRT1_2));
  return mul(graph, scale(graph, x, 0.5), add(graph, tail, constantFloat(graph, 1)));
}

/** Its approximation by tanh → same shape. Source: Hendrycks and Gimpel 2016, §2. */
export function geluTanh(graph: Graph, x: Tensor): Tensor {
  const cubic = add(graph, scale(graph, mul(graph, mul(graph, x, x), x), 0.044715), x);
  const bend = tanh(graph, scale(graph, cubic, Math.sqrt(2 / Math.PI)));
  return mul(graph, scale(graph, x, 0.5), add(graph, bend, constantFloat(graph, 1)));
}

/** cap · tanh(x / cap) → same shape, within ±cap. Source: Gemma Team 2024, §2. */
export function softcap(graph: Graph, x: Tensor, cap: number): Tensor {
  return scale(graph, tanh(graph, scale(graph, x, 1 / cap)), cap);
}

/**
 * x / √(mean(x²) + ε) · weight over the last axis: x[…, D], weight[D] → […, D].
 * With r = 1 / √(mean(x²) + ε), n = x·r, h = g·weight: pullbacks r · (h − n·mean(h·n)), Σ g·n.
 * Primitive nodes on purpose: the fused kernel's second output is wrong on WebGPU.
 * Source: Zhang and Sennrich 2019, Eq. 4.
 */
export function rmsNorm(graph: Graph, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return unrecordedThen(graph, () => {
    const r = inverseRoot(graph, mul(graph, x, x), epsilon);
    const n = mul(graph, x, r);
    const pullX = (g: Tensor) => {
      const h = mul(graph, g, weight);
      return mul(graph, r, sub(graph, h, mul(graph, n, meanLast(graph, mul(graph, h, n)))));
    };
    const pullWeight = (g: Tensor) => unbroadcast(graph, mul(graph, g, n), weight.shape);
    return { inputs: [x, weight], output: mul(graph, n, weight), pullbacks: [pullX, pullWeight] };
  });
}

/**
 * (x − mean) / √(variance + ε) · weight + bias over the last axis: x[…, D], weight[D], bias[D] → […, D].
 * With n the normalised x, h = g·weight: pullbacks r · (h − mean(h) − n·mean(h·n)), Σ g·n, Σ g.
 * Source: Ba, Kiros and Hinton 2016, Eq. 4.
 */
export function layerNorm(graph: Graph, x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  return unrecordedThen(graph, () => {
    const centred = sub(graph, x, meanLast(graph, x));
    const r = inverseRoot(graph, mul(graph, centred, centred), epsilon);
    const n = mul(graph, centred, r);
    const pullX = (g: Tensor) => {
      const h = mul(graph, g, weight);
      const along = mul(graph, n, meanLast(graph, mul(graph, h, n)));
      return mul(graph, r, sub(graph, sub(graph, h, meanLast(graph, h)), along));
    };
    return {
      inputs: [x, weight, bias],
      output: add(graph, mul(graph, n, weight), bias),
      pullbacks: [
        pullX,
        (g) => unbroadcast(graph, mul(graph, g, n), weight.shape),
        (g) => unbroadcast(graph, g, bias.shape),
      ],
    };
  });
}

/** Cosines and sines of positions, to be broadcast over what they turn. They have no derivative. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Turn channel pairs (i, i + D/2) by their position's angle: x[…, D], tables […, D/2] → […, D].
 * Pullback: g turned back. Source: Su et al. 2021, §3.4.2, with the pairs of transformers' Llama.
 */
export function rotateHalves(graph: Graph, x: Tensor, { cos, sin }: Rotation): Tensor {
  return unrecordedThen(graph, () => {
    const [low, high] = halves(graph, x);
    const turnedLow = sub(graph, mul(graph, low, cos), mul(graph, high, sin));
    const turnedHigh = add(graph, mul(graph, high, cos), mul(graph, low, sin));
    const output = concat(graph, [turnedLow, turnedHigh], -1);
    const pull = (g: Tensor) => rotateHalves(graph, g, { cos, sin: neg(graph, sin) });
    return { inputs: [x], output, pullbacks: [pull] };
  });
}

/**
 * Turn channel pairs (2i, 2i + 1): x[…, D], tables […, D] with each angle twice → […, D].
 * The partner of every channel comes from a product with a signed permutation, so that no channel
 * is moved twice. Pullback: g turned back. Source: Su et al. 2021, Eq. 34.
 */
export function rotatePairs(graph: Graph, x: Tensor, { cos, sin }: Rotation): Tensor {
  const width = x.shape.at(-1);
  invariant(typeof width === "number" && width % 2 === 0, `pairs of ${x.shape}`);
  const partner = share(graph, `partner ${width}`, (name) =>
    constantFloats(graph, name, partners(width), [width, width]),
  );
  return unrecordedThen(graph, () => {
    const output = add(graph, mul(graph, x, cos), mul(graph, matmul(graph, x, partner), sin));
    const pull = (g: Tensor) => rotatePairs(graph, g, { cos, sin: neg(graph, sin) });
    return { inputs: [x], output, pullbacks: [pull] };
  });
}

/**
 * Weighted cross-entropy of each row: logits[R, V], targetIds int64[R], weights[R] → losses[R] in nats,
 * weight · (ln Σ e^logit − logit of the target). Weights have no derivative.
 * Exponents are taken once, shifted by the row's largest, and serve both directions.
 * Pullback: weight · g · (softmax − one-hot).
 */
export function crossEntropy(graph: Graph, logits: Tensor, targetIds: Tensor, weights: Tensor): Tensor {
  return unrecordedThen(graph, () => {
    const columns = unsqueeze(graph, targetIds, [1]);
    const largest = maxLast(graph, logits);
    const powers = exp(graph, sub(graph, logits, largest));
    const total = sumLast(graph, powers);
    const losses = sub(graph, add(graph, log(graph, total), largest), pick(graph, logits, columns));
    const output = mul(graph, reshape(graph, losses, weights.shape), weights);
    const pull = (g: Tensor) => {
      const each = unsqueeze(graph, mul(graph, g, weights), [1]);
      const spread = mul(graph, powers, mul(graph, each, reciprocal(graph, total)));
      return addAt(graph, spread, columns, neg(graph, each));
    };
    return { inputs: [logits], output, pullbacks: [pull] };
  });
}

interface Composite {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly pullbacks: readonly ((gradient: Tensor) => Tensor)[];
}

/** Build an op off the tape, then write it there as one step. */
function unrecordedThen(graph: Graph, build: () => Composite): Tensor {
  const { inputs, output, pullbacks } = unrecorded(graph, build);
  return record(graph, inputs, output, pullbacks);
}

/** 1 / √(mean(squares) + ε) over the last axis. */
function inverseRoot(graph: Graph, squares: Tensor, epsilon: number): Tensor {
  return reciprocal(graph, sqrt(graph, add(graph, meanLast(graph, squares), constantFloat(graph, epsilon))));
}

/** [D, D], row major: x · partners gives −x[2i + 1] in channel 2i and x[2i] in channel 2i + 1. */
function partners(width: number): Float32Array {
  const values = new Float32Array(width * width);
  for (let even = 0; even < width; even += 2) {
    values[(even + 1) * width + even] = -1;
    values[even * width + even + 1] = 1;
  }
  return values;
}
