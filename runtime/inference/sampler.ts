import { invariant, NotFiniteError } from "#runtime/errors";
import { exp, log } from "./exponential.ts";

/**
 * Choice of the next token, in the order of transformers: repetition penalty, temperature, top k, top p, draw.
 * The same logits and seed give the same token on every machine: all that is random comes from one seeded
 * generator, probabilities become integers before they are added up and drawn from, and the arithmetic before
 * that is + − × ÷ of float64 in a fixed order (the penalty rounds to float32, as the logits are).
 */
export interface SamplingOptions {
  /** 0 takes the most likely token; otherwise logits are divided by this before the draw. */
  readonly temperature: number;
  /** Draw only among this many most likely tokens. */
  readonly topK?: number;
  /** Draw only among the most likely tokens that together reach this probability. */
  readonly topP?: number;
  /**
   * Divides the logits of tokens that came before if positive, multiplies them if negative; above 1 discourages
   * repeating. Source: Keskar et al. 2019, "CTRL", §4.1, as transformers has it.
   */
  readonly repetitionPenalty?: number;
}

/** Probability weights are rounded down to whole multiples of 2^−32 of the most likely token's. */
const weightScale = 2 ** 32;

/** Largest vocabulary: a token id and its logit share one exact number when sorted. */
const idRange = 2 ** 21;

/** A 32-bit generator: each call returns the next integer in [0, 2^32). */
export type Generator = () => number;

/**
 * PCG-XSH-RR 64/32: a 64-bit linear congruence whose state is permuted to 32 bits.
 * `seed` is a u64; the stream constant is fixed. Source: O'Neill 2014, "PCG", §6.3, and its reference
 * C code (`pcg32_srandom_r`, multiplier 6364136223846793005).
 */
export function pcg32(seed: bigint, stream = 54n): Generator {
  const increment = BigInt.asUintN(64, (stream << 1n) | 1n);
  const step = (state: bigint) => BigInt.asUintN(64, state * 6364136223846793005n + increment);
  let state = step(BigInt.asUintN(64, step(0n) + seed));
  return () => {
    const before = state;
    state = step(before);
    const shifted = Number(BigInt.asUintN(32, ((before >> 18n) ^ before) >> 27n));
    const turn = Number(before >> 59n);
    return ((shifted >>> turn) | (shifted << (-turn & 31))) >>> 0;
  };
}

/**
 * Pick a token from logits[V]. Ties go to the lower token id. One 64-bit draw per sampled token, none when greedy.
 * `previousTokenIds` are those the repetition penalty is for: prompt and answer so far.
 * Returns the token and its log-probability in nats under the model itself (temperature 1, no penalty, no cut).
 * @throws NotFiniteError if the logits give no distribution.
 */
export function chooseToken(
  logits: Float32Array,
  options: SamplingOptions,
  generator: Generator,
  previousTokenIds: Iterable<number> = [],
): { tokenId: number; logProb: number } {
  const peak = logits[argmax(logits)] ?? 0;
  const logSum = logSumOf(logits, peak);
  // One NaN anywhere, or an infinite peak, makes the sum NaN.
  if (!Number.isFinite(logSum)) throw new NotFiniteError("distribution over tokens");
  const scores = penalise(logits, options.repetitionPenalty ?? 1, previousTokenIds);
  const tokenId = options.temperature === 0 ? argmax(scores) : draw(candidatesOf(scores, options), generator);
  return { tokenId, logProb: (logits[tokenId] ?? 0) - peak - logSum };
}

/** Index of the largest value; the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] ?? 0) > (values[best] ?? 0)) best = index;
  }
  return best;
}

/** Logits with those of tokens that came before made less likely; the given ones if there is nothing to do. */
export function penalise(logits: Float32Array, penalty: number, tokenIds: Iterable<number>): Float32Array {
  if (penalty === 1) return logits;
  const scores = Float32Array.from(logits);
  const factor = Math.fround(penalty);
  for (const tokenId of new Set(tokenIds)) {
    const logit = logits[tokenId];
    if (logit !== undefined) scores[tokenId] = logit < 0 ? logit * factor : logit / factor;
  }
  return scores;
}

/** Tokens that may be drawn, and how often each is among `weights`' sum. */
export interface Candidates {
  readonly tokenIds: Uint32Array;
  /** Whole numbers up to 2^32. */
  readonly weights: Float64Array;
}

/** Candidates after temperature, top k and top p, most likely first, ties by token id: a total order. */
export function candidatesOf(scores: Float32Array, options: SamplingOptions): Candidates {
  const peak = scores[argmax(scores)] ?? 0;
  const weightOf = (tokenId: number) =>
    Math.floor(exp(((scores[tokenId] ?? 0) - peak) / options.temperature) * weightScale);
  const tokenIds = rank(scores, weightOf).subarray(0, options.topK ?? scores.length);
  const weights = Float64Array.from(tokenIds, weightOf);
  if (options.topP === undefined) return { tokenIds, weights };
  const enough = options.topP * weights.reduce((sum, weight) => sum + weight, 0);
  let reached = 0;
  const last = weights.findIndex((weight) => {
    reached += weight;
    return reached >= enough;
  });
  const count = last < 0 ? weights.length : last + 1;
  return { tokenIds: tokenIds.subarray(0, count), weights: weights.subarray(0, count) };
}

/** Ids of tokens with some weight, most likely first. Logit and id are packed into one number and sorted as such. */
function rank(scores: Float32Array, weightOf: (tokenId: number) => number): Uint32Array {
  invariant(scores.length <= idRange, `a vocabulary has at most ${idRange} tokens`);
  const words = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
  const keys = new Float64Array(scores.length);
  let count = 0;
  for (let tokenId = 0; tokenId < scores.length; tokenId++) {
    if (weightOf(tokenId) < 1) continue;
    // The order of floats as that of their bits, the largest first; both zeros are one.
    const word = scores[tokenId] === 0 ? 0 : words[tokenId]!;
    const descending = word >= 0x80000000 ? word : 0x7fffffff - word;
    keys[count++] = descending * idRange + tokenId;
  }
  return Uint32Array.from(keys.subarray(0, count).sort(), (key) => key % idRange);
}

function draw({ tokenIds, weights }: Candidates, generator: Generator): number {
  // Whole numbers below 2^53: a vocabulary of 2^21 times 2^32.
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const uniform64 = (BigInt(generator()) << 32n) | BigInt(generator());
  let rest = Number((uniform64 * BigInt(total)) >> 64n);
  const place = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  return tokenIds[place]!;
}

/** log Σ e^(logit − peak), in float64, in the order of token ids; without terms that the peak's own 1 swallows. */
function logSumOf(logits: Float32Array, peak: number): number {
  let sum = 0;
  for (const logit of logits) if (!(logit - peak < -45)) sum += exp(logit - peak);
  return log(sum);
}
