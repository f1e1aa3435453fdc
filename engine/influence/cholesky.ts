import { invariant } from "#schema/errors";
import { addScaled, dot, type Matrix, matrix, row, type Vector } from "./matrix.ts";

/**
 * L with L·Lᵀ = M + shift · I, lower triangle; entries above it are zero. M symmetric, its lower triangle is read.
 * Ours, because the packages that offer it keep a matrix as an array per row and read it entry by entry: at 1,000
 * records the rows must lie in one block of memory. n³/6 multiplications. Source: Golub & Van Loan 2013, §4.2.
 * @throws InvariantError where M + shift · I is not positive definite.
 */
export function factor(m: Matrix, shift = 0): Matrix {
  const { rows: n, values } = m;
  invariant(n === m.columns, "a square matrix");
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const rest = values[i * n + j]! - dot(lower, lower, j, i * n, j * n);
      lower[i * n + j] = rest / lower[j * n + j]!;
    }
    const pivot = values[i * n + i]! + shift - dot(lower, lower, i, i * n, i * n);
    invariant(pivot > 0, `a positive definite matrix, pivot ${i} is ${pivot}`);
    lower[i * n + i] = Math.sqrt(pivot);
  }
  return matrix(n, n, lower);
}

/** x with L·Lᵀ·x = b. */
export function solve(lower: Matrix, b: Vector): Float64Array {
  const n = lower.rows;
  invariant(b.length === n, `a right side of ${n}, got ${b.length}`);
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    x[i] = (x[i]! - dot(lower.values, x, i, i * n)) / lower.values[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    const value = x[i]! / lower.values[i * n + i]!;
    x[i] = value;
    for (let j = 0; j < i; j++) x[j]! -= lower.values[i * n + j]! * value;
  }
  return x;
}

/** X with L·Lᵀ·X = B, all columns at once: X[rows, B.columns]. */
export function solveColumns(lower: Matrix, b: Matrix): Matrix {
  const n = lower.rows;
  invariant(b.rows === n, `a right side of ${n} rows, got ${b.rows}`);
  const x = matrix(n, b.columns, Float64Array.from(b.values));
  const scale = (index: number) => {
    const target = row(x, index);
    const pivot = lower.values[index * n + index]!;
    for (let j = 0; j < target.length; j++) target[j]! /= pivot;
  };
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) addScaled(row(x, i), row(x, j), -lower.values[i * n + j]!);
    scale(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    scale(i);
    for (let j = 0; j < i; j++) addScaled(row(x, j), row(x, i), -lower.values[i * n + j]!);
  }
  return x;
}
