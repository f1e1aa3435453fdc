import fc from "fast-check";
import { expect, it } from "vitest";
import { decomposeQr, decomposeSingular, type Matrix, multiply, norm, transpose } from "./decomposition.ts";

const matrices = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }))
  .chain(([rows, columns]) =>
    fc
      .array(fc.oneof(fc.constant(0), fc.double({ min: -8, max: 8, noNaN: true })), {
        minLength: rows * columns,
        maxLength: rows * columns,
      })
      .map((values): Matrix => ({ rows, columns, values: Float64Array.from(values) })),
  );

function distance(left: Matrix, right: Matrix): number {
  expect([left.rows, left.columns]).toEqual([right.rows, right.columns]);
  return norm(left.values.map((value, index) => value - right.values[index]!));
}

function identity(size: number): Matrix {
  const values = new Float64Array(size * size);
  for (let index = 0; index < size; index++) values[index * size + index] = 1;
  return { rows: size, columns: size, values };
}

it("splits a matrix into an orthonormal and a triangular one", () => {
  fc.assert(
    fc.property(matrices, (matrix) => {
      const { q, r } = decomposeQr(matrix);
      expect(distance(multiply(q, r), matrix)).toBeLessThan(1e-12);
      expect(distance(multiply(transpose(q), q), identity(q.columns))).toBeLessThan(1e-12);
      for (let row = 1; row < r.rows; row++) {
        for (let column = 0; column < row; column++) expect(r.values[row * r.columns + column]).toBe(0);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

it("splits a matrix by its singular values, largest first", () => {
  fc.assert(
    fc.property(matrices, (matrix) => {
      const { left, singular, right } = decomposeSingular(matrix);
      const scaled = {
        ...left,
        values: left.values.map((value, index) => value * singular[index % left.columns]!),
      };
      expect(distance(multiply(scaled, transpose(right)), matrix)).toBeLessThan(1e-11);
      expect([...singular]).toEqual([...singular].toSorted((a, b) => b - a));
      expect(Math.abs(norm(singular) - norm(matrix.values))).toBeLessThan(1e-11);
    }),
    { seed: 2, numRuns: 200 },
  );
});

it("finds the singular values that are known", () => {
  const { singular } = decomposeSingular({ rows: 2, columns: 2, values: Float64Array.of(3, 0, 4, 5) });
  expect(singular[0]).toBeCloseTo(Math.sqrt(45), 12);
  expect(singular[1]).toBeCloseTo(Math.sqrt(5), 12);
});
