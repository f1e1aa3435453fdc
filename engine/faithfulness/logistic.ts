import { invariant } from "#schema/errors";
import { factor, solve } from "../influence/cholesky.ts";
import { addScaled, dot, type Matrix, matrix, row } from "../influence/matrix.ts";

/** Labelled points: features [n, d] with the constant 1 among them, and the class of each. */
export type Labelled = {
  readonly features: Matrix;
  readonly labels: Uint8Array;
  readonly classCount: number;
};

/** Gradient norm at which a fit counts as the optimum. */
const gradientNormMax = 1e-9;
const newtonStepsMax = 50;
const conjugateStepsMax = 200;

/**
 * The optimum of multinomial logistic regression, mean loss over `records` plus ridge/2 · |θ|²; θ is [classes, d] in
 * one vector. Strictly convex, so what influence predicts can be checked against true retraining. Newton's method, each
 * step by conjugate gradients under `preconditioner`, the Cholesky factor of a nearby Hessian.
 */
export function optimum(
  data: Labelled,
  records: readonly number[],
  ridge: number,
  { start = new Float64Array(data.classCount * data.features.columns), preconditioner }: OptimumOptions = {},
): Float64Array {
  const theta = Float64Array.from(start);
  const lower = preconditioner ?? factor(hessian(data, records, theta, ridge));
  for (let step = 0; step < newtonStepsMax; step++) {
    const probabilities = predictEach(data, records, theta);
    const gradient = meanGradient(data, records, probabilities, theta, ridge);
    const norm = Math.sqrt(dot(gradient, gradient));
    if (norm <= gradientNormMax) return theta;
    const product = (x: Float64Array) => hessianTimes(data, records, probabilities, ridge, x);
    addScaled(theta, conjugateGradients(product, lower, gradient, Math.min(0.1, norm) * norm), -1);
  }
  invariant(false, "Newton's method reaches the optimum of a strictly convex loss");
}

export type OptimumOptions = { readonly start?: Float64Array; readonly preconditioner?: Matrix };

/** Gradients of the records' losses, a row per record: (p − y) ⊗ x. Without the ridge. */
export function gradients(data: Labelled, records: readonly number[], theta: Float64Array): Matrix {
  const { features, classCount } = data;
  const probabilities = predictEach(data, records, theta);
  const result = matrix(records.length, theta.length);
  records.forEach((record, position) => {
    const x = row(features, record);
    const target = row(result, position);
    for (let c = 0; c < classCount; c++) {
      const error = probabilities[position * classCount + c]! - (data.labels[record] === c ? 1 : 0);
      addScaled(target.subarray(c * x.length, (c + 1) * x.length), x, error);
    }
  });
  return result;
}

/** −log p(label) of each record, in nats. */
export function losses(data: Labelled, records: readonly number[], theta: Float64Array): Float64Array {
  const probabilities = predictEach(data, records, theta);
  return Float64Array.from(
    records,
    (record, position) => -Math.log(probabilities[position * data.classCount + data.labels[record]!]!),
  );
}

/** Hessian of the mean loss plus ridge · I: Σ (diag(p) − ppᵀ) ⊗ xxᵀ / n + ridge · I. */
export function hessian(
  data: Labelled,
  records: readonly number[],
  theta: Float64Array,
  ridge: number,
): Matrix {
  const { features, classCount } = data;
  const d = features.columns;
  const probabilities = predictEach(data, records, theta);
  const result = matrix(theta.length, theta.length);
  records.forEach((record, position) => {
    const x = row(features, record);
    const p = probabilities.subarray(position * classCount, (position + 1) * classCount);
    for (let a = 0; a < classCount; a++) {
      for (let b = 0; b <= a; b++) {
        const weight = ((a === b ? p[a]! : 0) - p[a]! * p[b]!) / records.length;
        for (let i = 0; i < d; i++) {
          if (x[i] === 0) continue;
          const offset = (a * d + i) * theta.length + b * d;
          addScaled(result.values.subarray(offset, offset + d), x, weight * x[i]!);
        }
      }
    }
  });
  for (let i = 0; i < theta.length; i++) result.values[i * theta.length + i]! += ridge;
  return mirrored(result);
}

function mirrored(m: Matrix): Matrix {
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < i; j++) m.values[j * m.rows + i] = m.values[i * m.rows + j]!;
  }
  return m;
}

/** Softmax of every record's class scores: [records · classes]. */
function predictEach({ features, classCount }: Labelled, records: readonly number[], theta: Float64Array) {
  const d = features.columns;
  const result = new Float64Array(records.length * classCount);
  records.forEach((record, position) => {
    const scores = result.subarray(position * classCount, (position + 1) * classCount);
    for (let c = 0; c < classCount; c++) scores[c] = dot(features.values, theta, d, record * d, c * d);
    const peak = scores.reduce((a, b) => Math.max(a, b));
    let total = 0;
    for (let c = 0; c < classCount; c++) total += scores[c] = Math.exp(scores[c]! - peak);
    for (let c = 0; c < classCount; c++) scores[c]! /= total;
  });
  return result;
}

function meanGradient(
  { features, labels, classCount }: Labelled,
  records: readonly number[],
  probabilities: Float64Array,
  theta: Float64Array,
  ridge: number,
): Float64Array {
  const d = features.columns;
  const gradient = theta.map((x) => ridge * x);
  records.forEach((record, position) => {
    const x = row(features, record);
    for (let c = 0; c < classCount; c++) {
      const error = probabilities[position * classCount + c]! - (labels[record] === c ? 1 : 0);
      addScaled(gradient.subarray(c * d, (c + 1) * d), x, error / records.length);
    }
  });
  return gradient;
}

function hessianTimes(
  { features, classCount }: Labelled,
  records: readonly number[],
  probabilities: Float64Array,
  ridge: number,
  direction: Float64Array,
): Float64Array {
  const d = features.columns;
  const result = direction.map((x) => ridge * x);
  const slopes = new Float64Array(classCount);
  records.forEach((record, position) => {
    const p = probabilities.subarray(position * classCount, (position + 1) * classCount);
    let average = 0;
    for (let c = 0; c < classCount; c++) {
      slopes[c] = dot(features.values, direction, d, record * d, c * d);
      average += p[c]! * slopes[c]!;
    }
    const x = row(features, record);
    for (let c = 0; c < classCount; c++) {
      const weight = (p[c]! * (slopes[c]! - average)) / records.length;
      addScaled(result.subarray(c * d, (c + 1) * d), x, weight);
    }
  });
  return result;
}

/** x with H·x ≈ b to a residual of `tolerance`, preconditioned by (L·Lᵀ)⁻¹. */
function conjugateGradients(
  product: (x: Float64Array) => Float64Array,
  lower: Matrix,
  b: Float64Array,
  tolerance: number,
): Float64Array {
  const x = new Float64Array(b.length);
  const residual = Float64Array.from(b);
  let scaled = solve(lower, residual);
  let direction = Float64Array.from(scaled);
  let size = dot(residual, scaled);
  for (let step = 0; step < conjugateStepsMax && Math.sqrt(dot(residual, residual)) > tolerance; step++) {
    const image = product(direction);
    const length = size / dot(direction, image);
    addScaled(x, direction, length);
    addScaled(residual, image, -length);
    scaled = solve(lower, residual);
    const next = dot(residual, scaled);
    direction = scaled.map((value, i) => value + (next / size) * direction[i]!) as Float64Array<ArrayBuffer>;
    size = next;
  }
  return x;
}
