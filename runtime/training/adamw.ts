import { byteMoment, floatMoment, type Moment, momentBlock, type StateBits } from "./moment.ts";

/** Settings of one update. Source: Loshchilov and Hutter 2019, Algorithm 2, with decay as PyTorch's AdamW applies it. */
export interface AdamW {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Fraction of a parameter taken off per unit of learning rate. */
  readonly weightDecay: number;
  /** Bits of each running mean: 32, the default, or 8, which takes a quarter of the memory; see `byteMoment`. */
  readonly stateBits?: StateBits;
}

/** PyTorch's defaults, but no decay: low-rank factors start at or near zero. */
export const adamWDefaults: AdamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

/** A parameter and the running means of its gradient and of its square. */
export interface Parameter {
  readonly value: Float32Array;
  readonly mean: Moment;
  readonly square: Moment;
}

/** A parameter that has not been updated. */
export function fresh(value: Float32Array, { stateBits = 32 }: Pick<AdamW, "stateBits"> = {}): Parameter {
  const { length } = value;
  if (stateBits === 32) return { value, mean: floatMoment(length), square: floatMoment(length) };
  return { value, mean: byteMoment(length, "signed"), square: byteMoment(length, "unsigned") };
}

/**
 * Update a parameter in place with `factor` · gradient. `step` counts from 1. Computed in float64 and
 * rounded once per array, so the same inputs give the same bits on every machine.
 */
export function update(
  { value, mean, square }: Parameter,
  gradient: Float32Array,
  factor: number,
  step: number,
  learningRate: number,
  { beta1, beta2, epsilon, weightDecay }: AdamW,
): void {
  const stride = learningRate / (1 - beta1 ** step);
  const root = Math.sqrt(1 - beta2 ** step);
  const kept = 1 - learningRate * weightDecay;
  const scratch = [new Float64Array(momentBlock), new Float64Array(momentBlock)] as const;
  for (let start = 0; start < value.length; start += momentBlock) {
    const count = Math.min(momentBlock, value.length - start);
    const [means, squares] = [scratch[0].subarray(0, count), scratch[1].subarray(0, count)];
    mean.load(start, means);
    square.load(start, squares);
    for (let at = 0; at < count; at++) {
      const index = start + at;
      const slope = gradient[index]! * factor;
      const first = beta1 * means[at]! + (1 - beta1) * slope;
      const second = beta2 * squares[at]! + (1 - beta2) * slope * slope;
      means[at] = first;
      squares[at] = second;
      value[index] = value[index]! * kept - (stride * first) / (Math.sqrt(second) / root + epsilon);
    }
    mean.store(start, means);
    square.store(start, squares);
  }
}
