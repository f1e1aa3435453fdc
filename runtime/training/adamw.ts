/** Settings of one update. Source: Loshchilov and Hutter 2019, Algorithm 2, with decay as PyTorch's AdamW applies it. */
export interface AdamW {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Fraction of a parameter taken off per unit of learning rate. */
  readonly weightDecay: number;
}

/** PyTorch's defaults, but no decay: low-rank factors start at or near zero. */
export const adamWDefaults: AdamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

/** A parameter and the running means of its gradient and of its square; all of one length. */
export interface Parameter {
  readonly value: Float32Array;
  readonly mean: Float32Array;
  readonly square: Float32Array;
}

/** A parameter that has not been updated. */
export function fresh(value: Float32Array): Parameter {
  return { value, mean: new Float32Array(value.length), square: new Float32Array(value.length) };
}

/**
 * Update a parameter in place with `factor` · gradient. `step` counts from 1. Computed in float64 and
 * rounded to float32 once per array, so the same inputs give the same bits on every machine.
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
  for (let index = 0; index < value.length; index++) {
    const slope = gradient[index]! * factor;
    const first = beta1 * mean[index]! + (1 - beta1) * slope;
    const second = beta2 * square[index]! + (1 - beta2) * slope * slope;
    mean[index] = first;
    square[index] = second;
    value[index] = value[index]! * kept - (stride * first) / (Math.sqrt(second) / root + epsilon);
  }
}
