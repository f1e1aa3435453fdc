import type { Rope, RopeScaling } from "./description.ts";

/**
 * Cosines and sines of rotary positions, row = position. Pairs apart by halves: [positions, width / 2].
 * Neighbouring pairs: [positions, headSize], each angle twice, and 1 and 0 for channels that do not turn.
 * Every step is rounded to float32 where the reference (transformers' LlamaRotaryEmbedding) computes
 * in float32: an angle of 500 rad kept in float64 would differ by 3e-5 from what models were trained with.
 * Source: Su et al. 2021, §3.4.2; angle = position · theta^(−2i / width).
 */
export function ropeTables(
  rope: Rope,
  headSize: number,
  positions: number,
): { columns: number; cos: Float32Array; sin: Float32Array } {
  const frequencies = ropeFrequencies(rope);
  const columns = rope.pairs === "halves" ? frequencies.length : headSize;
  const cos = new Float32Array(positions * columns).fill(1);
  const sin = new Float32Array(positions * columns);
  for (let position = 0; position < positions; position++) {
    const row = position * columns;
    frequencies.forEach((frequency, index) => {
      const angle = Math.fround(position * frequency);
      const at = rope.pairs === "halves" ? [row + index] : [row + 2 * index, row + 2 * index + 1];
      for (const column of at) {
        cos[column] = Math.cos(angle);
        sin[column] = Math.sin(angle);
      }
    });
  }
  return { columns, cos, sin };
}

/** Radians per position of each pair of channels, float32, fastest first. */
function ropeFrequencies({ theta, width, scaling }: Rope): number[] {
  return Array.from({ length: width / 2 }, (_, index) => {
    const power = Math.fround(theta ** Math.fround((2 * index) / width));
    return scale(Math.fround(1 / power), scaling);
  });
}

/**
 * `linear`: all channels divided by `factor`. Llama 3.1's stretch: slow channels are divided, fast ones
 * kept, those between are blended. Source: transformers, `_compute_llama3_parameters`.
 */
function scale(frequency: number, scaling: RopeScaling): number {
  if (scaling.type === "default") return frequency;
  if (scaling.type === "linear") return Math.fround(frequency / scaling.factor);
  const wavelengthTokens = (2 * Math.PI) / frequency;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalTokens } = scaling;
  if (wavelengthTokens < originalTokens / highFrequencyFactor) return frequency;
  if (wavelengthTokens > originalTokens / lowFrequencyFactor) return Math.fround(frequency / factor);
  const smooth =
    (originalTokens / wavelengthTokens - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return Math.fround(((1 - smooth) * frequency) / factor + smooth * frequency);
}
