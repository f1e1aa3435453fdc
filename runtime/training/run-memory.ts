import { type Decoder, linearsOf } from "#runtime/decoder/description";
import { MemoryLimitError, memoryBytes } from "#runtime/memory";

/** What one run of a train or gradient graph holds at a time. */
export interface RunSize {
  readonly rows: number;
  /** Tokens of each row, padding included. */
  readonly tokens: number;
  /** Tokens that are learned: each has a row of logits. */
  readonly learned: number;
}

/** Tensors of one layer's attention scores, and of all logits, that live at once while gradients flow through them. */
const alive = { scores: 5, logits: 3 };

/**
 * About the bytes that a run takes beside the weights: attention scores [rows, H, T, T] of one layer, logits
 * [learned, V], and what every layer keeps for its backward pass. Measured peaks of small models of one and eight
 * layers lay between 0.7 and 1.5 of it.
 */
export function runBytes(decoder: Decoder, { rows, tokens, learned }: RunSize): number {
  const { headCount, vocabularySize, hiddenSize, layers } = decoder;
  const outputs = linearsOf(decoder).reduce((sum, { outSize }) => sum + outSize, 0);
  const kept = rows * tokens * (outputs + 2 * hiddenSize * layers.length);
  const scores = rows * headCount * tokens ** 2;
  const floats = alive.scores * scores + alive.logits * learned * vocabularySize + kept;
  return Float32Array.BYTES_PER_ELEMENT * floats;
}

/** The default of `runBytesMax`. */
export function runBytesMaxDefault(): number {
  return Math.floor(memoryBytes() / 2);
}

/** @throws MemoryLimitError unless the run fits in `runBytesMax`, before its memory is asked for. */
export function checkRun(decoder: Decoder, size: RunSize, runBytesMax: number): void {
  const bytes = runBytes(decoder, size);
  if (bytes <= runBytesMax) return;
  const what = `A run of ${size.rows} x ${size.tokens} tokens, ${size.learned} of them learned,`;
  const remedy = "Take fewer rows or shorter examples, or allow more.";
  throw new MemoryLimitError(what, "runBytesMax", runBytesMax, bytes, remedy);
}
