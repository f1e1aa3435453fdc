import type { Decoder } from "#runtime/decoder/description";
import { blockTokens, cacheSlots, timeBlockTokens } from "#runtime/time-block";

/**
 * Most bytes of one layer's attention scores [H, chunk, T], and of the logits [R, V] of one chunk. Some three
 * such tensors live at a time. Part of the execution profile of models that it concerns.
 */
export const chunkBytesMax = 128 * 1024 ** 2;

const floatBytes = Float32Array.BYTES_PER_ELEMENT;

/**
 * Tokens of a sequence that run at a time, so that its memory grows with its length and not with the square:
 * all of them, in whole blocks, while `chunkBytesMax` allows; then fewer, at least one block. A function of
 * the model, the sequence's own length and its own count of wanted logits, and of nothing beside it.
 */
export function chunkTokens(
  { headCount, vocabularySize }: Pick<Decoder, "headCount" | "vocabularySize">,
  tokens: number,
  logitRows = 1,
): number {
  const whole = blockTokens(tokens);
  const byScores = chunkBytesMax / (headCount * whole * floatBytes);
  const rowsMax = chunkBytesMax / (vocabularySize * floatBytes);
  const byLogits = logitRows > rowsMax ? rowsMax : Number.POSITIVE_INFINITY;
  const blocks = Math.floor(Math.min(byScores, byLogits) / timeBlockTokens);
  return Math.min(whole, Math.max(1, blocks) * timeBlockTokens);
}

/** Whether any sequence that fits the context runs in more than one chunk. */
export function needsChunks(decoder: Decoder): boolean {
  const tokens = decoder.contextTokensMax;
  return chunkTokens(decoder, tokens, tokens) < blockTokens(tokens);
}

/** Bytes of keys and values of a running batch of `rows` sequences of `tokens` tokens each. */
export function cacheBytes(
  { layers, keyValueHeadCount, headSize }: Pick<Decoder, "layers" | "keyValueHeadCount" | "headSize">,
  tokens: number,
  rows: number,
): number {
  const slots = cacheSlots(tokens, headSize);
  return 2 * layers.length * keyValueHeadCount * headSize * floatBytes * slots * rows;
}
