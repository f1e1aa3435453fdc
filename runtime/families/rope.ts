import { blockTokens } from "#runtime/time-block";
import type { ModelConfig, RopeScaling } from "#runtime/weights/model-config";

/**
 * Cosines and sines of rotary positions, each [positions, headSize / 2], row = position; positions
 * are the context rounded up to whole time blocks, because padding has positions too.
 * Every step is rounded to float32 where the reference (transformers' LlamaRotaryEmbedding) computes
 * in float32: an angle of 500 rad kept in float64 would differ by 3e-5 from what models were trained with.
 * Source: Su et al. 2021, §3.4.2; angle = position · theta^(−2i / headSize).
 */
export function ropeTables(config: ModelConfig): { positions: number; cos: Float32Array; sin: Float32Array } {
  const positions = blockTokens(config.contextTokensMax);
  const frequencies = ropeFrequencies(config);
  const width = frequencies.length;
  const cos = new Float32Array(positions * width);
  const sin = new Float32Array(positions * width);
  for (let position = 0; position < positions; position++) {
    frequencies.forEach((frequency, index) => {
      const angle = Math.fround(position * frequency);
      cos[position * width + index] = Math.cos(angle);
      sin[position * width + index] = Math.sin(angle);
    });
  }
  return { positions, cos, sin };
}

/** Radians per position of each pair of channels, float32, fastest first. */
function ropeFrequencies(config: ModelConfig): number[] {
  return Array.from({ length: config.headSize / 2 }, (_, index) => {
    const power = Math.fround(config.ropeTheta ** Math.fround((2 * index) / config.headSize));
    return scale(Math.fround(1 / power), config.ropeScaling);
  });
}

/**
 * Llama 3.1's stretch: slow channels are divided by `factor`, fast ones kept, those between are blended.
 * Source: transformers, `_compute_llama3_parameters`.
 */
function scale(frequency: number, scaling: RopeScaling): number {
  if (scaling.type === "default") return frequency;
  const wavelengthTokens = (2 * Math.PI) / frequency;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalTokens } = scaling;
  if (wavelengthTokens < originalTokens / highFrequencyFactor) return frequency;
  if (wavelengthTokens > originalTokens / lowFrequencyFactor) return Math.fround(frequency / factor);
  const smooth =
    (originalTokens / wavelengthTokens - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return Math.fround(((1 - smooth) * frequency) / factor + smooth * frequency);
}
