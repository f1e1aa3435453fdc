import { NotFiniteError } from "#runtime/errors";

/**
 * Choice of the next token. Everything random comes from one seeded generator, and the draw itself
 * compares integers, so the same logits and seed give the same token on every machine.
 */
export interface SamplingOptions {
  /** 0 takes the most likely token; otherwise logits are divided by this before the draw. */
  readonly temperature: number;
  /** Draw only among this many most likely tokens. */
  readonly topK?: number;
  /** Draw only among the most likely tokens that together reach this probability. */
  readonly topP?: number;
}

/** Probability weights are rounded down to whole multiples of 2^−32 of the most likely token's. */
const weightScale = 2 ** 32;

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
 * Returns the token and its log-probability in nats under the model itself (temperature 1, no cut).
 * @throws NotFiniteError if the logits give no distribution.
 */
export function chooseToken(
  logits: Float32Array,
  options: SamplingOptions,
  generator: Generator,
): { tokenId: number; logProb: number } {
  const best = argmax(logits);
  const peak = logits[best] ?? 0;
  const logSum = logSumOf(logits, peak);
  // One NaN anywhere, or an infinite peak, makes the sum NaN.
  if (!Number.isFinite(logSum)) throw new NotFiniteError("distribution over tokens");
  const tokenId = options.temperature === 0 ? best : draw(logits, best, options, generator);
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

function draw(logits: Float32Array, best: number, options: SamplingOptions, generator: Generator): number {
  const peak = logits[best] ?? 0;
  const weightOf = (tokenId: number) =>
    Math.floor(Math.exp(((logits[tokenId] ?? 0) - peak) / options.temperature) * weightScale);
  const candidates = cut(logits, options, weightOf);
  const total = candidates.reduce((sum, candidate) => sum + BigInt(candidate.weight), 0n);
  const uniform64 = (BigInt(generator()) << 32n) | BigInt(generator());
  let rest = (uniform64 * total) >> 64n;
  for (const { tokenId, weight } of candidates) {
    rest -= BigInt(weight);
    if (rest < 0n) return tokenId;
  }
  return best;
}

/** Candidates after top-k and top-p, most likely first, ties by token id: a total order. */
function cut(logits: Float32Array, options: SamplingOptions, weightOf: (tokenId: number) => number) {
  const ordered = Array.from(logits, (logit, tokenId) => ({ logit, tokenId }))
    .toSorted((a, b) => b.logit - a.logit || a.tokenId - b.tokenId)
    .slice(0, options.topK ?? logits.length)
    .map(({ tokenId }) => ({ tokenId, weight: weightOf(tokenId) }));
  if (options.topP === undefined) return ordered;
  const total = ordered.reduce((sum, { weight }) => sum + weight, 0);
  const enough = options.topP * total;
  let reached = 0;
  const kept = ordered.findIndex(({ weight }) => {
    reached += weight;
    return reached >= enough;
  });
  return kept < 0 ? ordered : ordered.slice(0, kept + 1);
}

/** log Σ e^(logit − peak), in float64. */
function logSumOf(logits: Float32Array, peak: number): number {
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - peak);
  return Math.log(sum);
}
