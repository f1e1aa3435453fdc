/**
 * The two matrix decompositions that merging needs, in float64 with a fixed order of operations and nothing but
 * + − × ÷ √, so that every machine gives the same bits. Matrices are row-major.
 */

/** A matrix of `rows` × `columns`. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** Rounds of rotations before the singular value decomposition is taken as it is; about 10 suffice in practice. */
const sweepsMax = 60;

/** Columns whose cosine is below this count as orthogonal. */
const orthogonal = 1e-15;

/** left · right. */
export function multiply(left: Matrix, right: Matrix): Matrix {
  const values = new Float64Array(left.rows * right.columns);
  for (let row = 0; row < left.rows; row++) {
    for (let inner = 0; inner < left.columns; inner++) {
      const factor = left.values[row * left.columns + inner]!;
      for (let column = 0; column < right.columns; column++) {
        values[row * right.columns + column]! += factor * right.values[inner * right.columns + column]!;
      }
    }
  }
  return { rows: left.rows, columns: right.columns, values };
}

/** Rows as columns. */
export function transpose({ rows, columns, values }: Matrix): Matrix {
  const turned = new Float64Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column]!;
  }
  return { rows: columns, columns: rows, values: turned };
}

/** √Σ x², of numbers however small or large. */
export function norm(values: Float64Array): number {
  const largest = largestOf(values);
  if (largest === 0) return 0;
  let sum = 0;
  for (const value of values) sum += (value / largest) * (value / largest);
  return largest * Math.sqrt(sum);
}

/**
 * matrix = q · r, columns of q orthonormal, q with min(rows, columns) columns. By Householder reflections.
 * Source: Golub & Van Loan 2013, "Matrix Computations", §5.2.2.
 */
export function decomposeQr(matrix: Matrix): { q: Matrix; r: Matrix } {
  const { rows, columns } = matrix;
  const count = Math.min(rows, columns);
  const work = Float64Array.from(matrix.values);
  const reflections: Float64Array[] = [];
  for (let step = 0; step < count; step++) {
    const mirror = mirrorOf(work, columns, step, rows);
    reflections.push(mirror);
    reflect(work, columns, step, mirror);
  }
  const r = work.slice(0, count * columns);
  for (let row = 1; row < count; row++) r.fill(0, row * columns, row * columns + row);
  const q = new Float64Array(rows * count);
  for (let index = 0; index < count; index++) q[index * count + index] = 1;
  reflections.forEach((_, index) => {
    const step = count - 1 - index;
    reflect(q, count, step, reflections[step]!);
  });
  return { q: { rows, columns: count, values: q }, r: { rows: count, columns, values: r } };
}

/**
 * matrix = left · diag(singular) · rightᵀ, largest singular value first, min(rows, columns) of them. By one-sided
 * Jacobi rotations. Source: Golub & Van Loan 2013, §8.6.3 (Hestenes' method).
 */
export function decomposeSingular(matrix: Matrix): { left: Matrix; singular: Float64Array; right: Matrix } {
  if (matrix.rows < matrix.columns) {
    const { left, singular, right } = decomposeSingular(transpose(matrix));
    return { left: right, singular, right: left };
  }
  const { rows, columns } = matrix;
  // Held as rows, which are the columns of the matrix, so that a rotation walks through memory in order.
  const turned = transpose(matrix).values;
  const basis = new Float64Array(columns * columns);
  for (let index = 0; index < columns; index++) basis[index * columns + index] = 1;
  for (let sweep = 0; sweep < sweepsMax && rotateAll(turned, rows, basis, columns); sweep++);
  return order(turned, rows, basis, columns);
}

/** Unit vector, from row `step` on, whose mirror turns column `step` into a multiple of the first axis. */
function mirrorOf(work: Float64Array, columns: number, step: number, rows: number): Float64Array {
  const mirror = new Float64Array(rows - step);
  for (let index = 0; index < mirror.length; index++) mirror[index] = work[(step + index) * columns + step]!;
  const length = norm(mirror);
  mirror[0] = mirror[0]! + (mirror[0]! < 0 ? -length : length);
  // First to about 1: a norm of numbers near the smallest ones has few digits.
  const largest = largestOf(mirror);
  if (largest === 0) return mirror;
  const scaled = mirror.map((value) => value / largest);
  const size = norm(scaled);
  return scaled.map((value) => value / size);
}

/** Apply I − 2·m·mᵀ to the rows from `step` on. */
function reflect(work: Float64Array, columns: number, step: number, mirror: Float64Array): void {
  for (let column = 0; column < columns; column++) {
    let dot = 0;
    for (let index = 0; index < mirror.length; index++) {
      dot += mirror[index]! * work[(step + index) * columns + column]!;
    }
    for (let index = 0; index < mirror.length; index++) {
      work[(step + index) * columns + column]! -= 2 * dot * mirror[index]!;
    }
  }
}

/** Rotate every pair of columns until each is orthogonal to the other. Says whether any was not. */
function rotateAll(turned: Float64Array, rows: number, basis: Float64Array, columns: number): boolean {
  let hasRotated = false;
  for (let first = 0; first < columns - 1; first++) {
    for (let second = first + 1; second < columns; second++) {
      const left = turned.subarray(first * rows, (first + 1) * rows);
      const right = turned.subarray(second * rows, (second + 1) * rows);
      const [alpha, beta, gamma] = [dotOf(left, left), dotOf(right, right), dotOf(left, right)];
      if (Math.abs(gamma) <= orthogonal * Math.sqrt(alpha) * Math.sqrt(beta)) continue;
      hasRotated = true;
      const zeta = (beta - alpha) / (2 * gamma);
      const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      rotate(left, right, cosine, cosine * tangent);
      rotate(
        basis.subarray(first * columns, (first + 1) * columns),
        basis.subarray(second * columns, (second + 1) * columns),
        cosine,
        cosine * tangent,
      );
    }
  }
  return hasRotated;
}

function rotate(left: Float64Array, right: Float64Array, cosine: number, sine: number): void {
  for (let index = 0; index < left.length; index++) {
    const [x, y] = [left[index]!, right[index]!];
    left[index] = cosine * x - sine * y;
    right[index] = sine * x + cosine * y;
  }
}

/** Columns by their length, longest first; the lengths are the singular values. */
function order(turned: Float64Array, rows: number, basis: Float64Array, columns: number) {
  const lengths = Array.from({ length: columns }, (_, index) => ({
    index,
    length: norm(turned.subarray(index * rows, (index + 1) * rows)),
  })).toSorted((a, b) => b.length - a.length || a.index - b.index);
  const left = new Float64Array(columns * rows);
  const right = new Float64Array(columns * columns);
  lengths.forEach(({ index, length }, place) => {
    const column = turned.subarray(index * rows, (index + 1) * rows);
    left.set(length === 0 ? column : column.map((value) => value / length), place * rows);
    right.set(basis.subarray(index * columns, (index + 1) * columns), place * columns);
  });
  return {
    left: transpose({ rows: columns, columns: rows, values: left }),
    singular: Float64Array.from(lengths, ({ length }) => length),
    right: transpose({ rows: columns, columns, values: right }),
  };
}

function largestOf(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function dotOf(left: Float64Array, right: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += left[index]! * right[index]!;
  return sum;
}
