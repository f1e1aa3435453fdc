import { invariant } from "#schema/errors";

/**
 * A dense matrix, row major: `values[row · columns + column]`. Gradients may be float32; all sums are float64.
 * Every sum below runs in one fixed order, so the same input gives the same bits on every machine.
 */
export type Matrix = {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array | Float32Array;
};

export type Vector = Float64Array | Float32Array;

/** A matrix over `values`, or of zeros. */
export function matrix(
  rows: number,
  columns: number,
  values: Vector = new Float64Array(rows * columns),
): Matrix {
  invariant(values.length === rows * columns, `${rows} × ${columns} values, got ${values.length}`);
  return { rows, columns, values };
}

/** Row `index` as a view: writing to it writes to the matrix. */
export function row(of: Matrix, index: number): Vector {
  return of.values.subarray(index * of.columns, (index + 1) * of.columns);
}

/** Σ aᵢ·bᵢ over `length` entries from the offsets, by four interleaved sums added in order. */
export function dot(a: Vector, b: Vector, length = a.length, aOffset = 0, bOffset = 0): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += a[aOffset + i]! * b[bOffset + i]!;
    s1 += a[aOffset + i + 1]! * b[bOffset + i + 1]!;
    s2 += a[aOffset + i + 2]! * b[bOffset + i + 2]!;
    s3 += a[aOffset + i + 3]! * b[bOffset + i + 3]!;
  }
  for (; i < length; i++) s0 += a[aOffset + i]! * b[bOffset + i]!;
  return s0 + s1 + (s2 + s3);
}

/** M·x: [rows]. */
export function times(m: Matrix, x: Vector): Float64Array {
  invariant(x.length === m.columns, `a vector of ${m.columns}, got ${x.length}`);
  return Float64Array.from({ length: m.rows }, (_, index) => dot(m.values, x, m.columns, index * m.columns));
}

/** Mᵀ·x: [columns]. */
export function timesTransposed(m: Matrix, x: Vector): Float64Array {
  invariant(x.length === m.rows, `a vector of ${m.rows}, got ${x.length}`);
  const result = new Float64Array(m.columns);
  for (let index = 0; index < m.rows; index++) addScaled(result, row(m, index), x[index]!);
  return result;
}

/** target += factor · x, in place. */
export function addScaled(target: Vector, x: Vector, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * x[i]!;
}

/** M·Mᵀ: [rows, rows], the inner products of all pairs of rows. */
export function gram(m: Matrix): Matrix {
  const { rows, columns } = m;
  const values = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      const product = dot(m.values, m.values, columns, i * columns, j * columns);
      values[i * rows + j] = product;
      values[j * rows + i] = product;
    }
  }
  return matrix(rows, rows, values);
}

/** Mᵀ·M: [columns, columns]. */
export function covariance(m: Matrix): Matrix {
  const { columns } = m;
  const sums = matrix(columns, columns);
  const rows = Array.from({ length: m.rows }, (_, index) => row(m, index));
  addOuters(sums, rows);
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < i; j++) sums.values[j * columns + i] = sums.values[i * columns + j]!;
  }
  return sums;
}

/**
 * Lower triangle of target += Σ x·xᵀ, in place. Four vectors at a time, the last ones with zeros beside them: a large
 * target then passes through memory a quarter as often.
 */
export function addOuters({ values, columns }: Matrix, vectors: readonly Vector[]): void {
  const zeros = new Float64Array(columns);
  for (let from = 0; from < vectors.length; from += 4) {
    const [a, b, c, d] = [0, 1, 2, 3].map((k) => vectors[from + k] ?? zeros) as [
      Vector,
      Vector,
      Vector,
      Vector,
    ];
    for (let i = 0; i < columns; i++) {
      const [u, v, w, x] = [a[i]!, b[i]!, c[i]!, d[i]!];
      const offset = i * columns;
      for (let j = 0; j <= i; j++) values[offset + j]! += u * a[j]! + v * b[j]! + w * c[j]! + x * d[j]!;
    }
  }
}

/** |rowᵢ|² of every row. */
export function squaredNorms(m: Matrix): Float64Array {
  return Float64Array.from({ length: m.rows }, (_, i) =>
    dot(m.values, m.values, m.columns, i * m.columns, i * m.columns),
  );
}

/** Mean in index order; 0 of nothing. */
export function mean(values: Vector | readonly number[]): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return values.length === 0 ? 0 : total / values.length;
}
