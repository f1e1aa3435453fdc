import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { assertFinite, type Block, damping, entryDamping } from "./block.ts";
import { factor, solve, solveColumns } from "./cholesky.ts";
import { dataInf, dataInfDoubleSum } from "./datainf.ts";
import { dual, primal, primalScores, scores, scoresByRatio } from "./efim.ts";
import {
  covariance,
  dot,
  gram,
  type Matrix,
  matrix,
  row,
  times,
  timesTransposed,
  type Vector,
} from "./matrix.ts";
import { project, projectBlock, projectQuery } from "./projection.ts";
import { adamDirection, hybrid, hybridInfluence, less, tracIn } from "./trajectory.ts";
import { complement, margin, trak } from "./trak.ts";

/** Gaussian-like gradients: the sum of four uniform draws, centred. */
function random(rows: number, columns: number, seed: number): Matrix {
  const next = pcg32(BigInt(seed));
  const draw = () => (next() + next() + next() + next()) / 2 ** 32 - 2;
  return matrix(rows, columns, Float64Array.from({ length: rows * columns }, draw));
}

const cases = fc.record({
  records: fc.integer({ min: 1, max: 24 }),
  columns: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
  seed: fc.nat(1e6),
  ratio: fc.constantFrom(1, 0.1, 0.01, 0.001),
});

function gradientsOf({ records, columns, seed }: { records: number; columns: number[]; seed: number }) {
  const blocks = columns.map((width, index) => random(records, width, seed + index));
  const query = columns.map((width, index) => row(random(1, width, seed + 100 + index), 0));
  return { blocks, query };
}

function relativeError(a: Vector, b: Vector): number {
  const difference = Float64Array.from(a, (x, i) => x - b[i]!);
  return Math.sqrt(dot(difference, difference) / Math.max(dot(b, b), Number.MIN_VALUE));
}

describe("cholesky", () => {
  it.each([1, 4, 7])("sum the outer products of %d rows", (count) => {
    const m = random(count, 5, 3);
    const sums = covariance(m);
    for (let i = 0; i < 5; i++)
      for (let j = 0; j < 5; j++) {
        const products = Array.from({ length: count }, (_, k) => row(m, k)[i]! * row(m, k)[j]!);
        expect(row(sums, i)[j]).toBeCloseTo(
          products.reduce((a, b) => a + b, 0),
          12,
        );
      }
  });

  it("solves what it factored, one right side or many", () => {
    const m = covariance(random(40, 23, 1));
    const lower = factor(m, 0.5);
    const b = random(23, 3, 2);
    const x = solveColumns(lower, b);
    for (const column of [0, 1, 2]) {
      const side = Float64Array.from({ length: 23 }, (_, i) => b.values[i * 3 + column]!);
      const solution = solve(lower, side);
      const again = times(m, solution).map((value, i) => value + 0.5 * solution[i]!);
      expect(relativeError(again, side)).toBeLessThan(1e-12);
      expect(
        relativeError(
          solution,
          solution.map((_, i) => x.values[i * 3 + column]!),
        ),
      ).toBeLessThan(1e-12);
    }
  });

  it("refuses a matrix that is not positive definite", () => {
    expect(() => factor(matrix(2, 2, Float64Array.of(1, 2, 2, 1)))).toThrow(/positive definite/);
  });
});

describe("eFIM-dual", () => {
  it("equals the primal form to 1e-9 whatever the shapes", () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { blocks, query } = gradientsOf(given);
        const found = scores(dual(blocks, given.ratio), query);
        expect(relativeError(found, primalScores(primal(blocks, given.ratio), query))).toBeLessThan(1e-9);
        expect(relativeError(scoresByRatio(blocks)(given.ratio)(query), found)).toBeLessThan(1e-9);
      }),
    );
  });

  it("satisfies its own definition: (K/n + λI)·score = G·v", () => {
    const { blocks, query } = gradientsOf({ records: 12, columns: [7], seed: 3 });
    const [block] = blocks as [Block];
    const found = scores(dual(blocks, 0.1), query);
    const back = times(gram(block), found).map((x, i) => x / 12 + damping(block, 0.1) * found[i]!);
    expect(relativeError(back, times(block, query[0]!))).toBeLessThan(1e-10);
  });

  it("tends to the gradient dot product divided by λ as the damping grows", () => {
    const { blocks, query } = gradientsOf({ records: 9, columns: [6], seed: 5 });
    const lambda = damping(blocks[0]!, 1e9);
    const scaled = scores(dual(blocks, 1e9), query).map((x) => x * lambda);
    expect(relativeError(scaled, scores(blocks, query))).toBeLessThan(1e-8);
  });

  it("gives a block without any gradient no say, and a record without one zero", () => {
    const { blocks, query } = gradientsOf({ records: 5, columns: [4, 3], seed: 6 });
    row(blocks[0]!, 2).fill(0);
    row(blocks[1]!, 2).fill(0);
    expect(scores(dual(blocks, 0.1), query)[2]).toBeCloseTo(0, 12);
    const silent = [blocks[0]!, matrix(5, 3)];
    expect(scores(dual(silent, 0.1), query)).toEqual(scores(dual([blocks[0]!], 0.1), [query[0]!]));
    expect(primalScores(primal([matrix(5, 3)], 0.1), [query[1]!])).toEqual(new Float64Array(5));
  });

  it("permutes with the records", () => {
    const { blocks, query } = gradientsOf({ records: 8, columns: [5], seed: 8 });
    const reversed = matrix(8, 5);
    for (let i = 0; i < 8; i++) row(reversed, i).set(row(blocks[0]!, 7 - i));
    const found = scores(dual([reversed], 0.01), query).reverse();
    expect(relativeError(found, scores(dual(blocks, 0.01), query))).toBeLessThan(1e-10);
  });
});

describe("DataInf", () => {
  it("equals its double sum to 1e-9", () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { blocks, query } = gradientsOf(given);
        expect(relativeError(dataInf(blocks, query), dataInfDoubleSum(blocks, query))).toBeLessThan(1e-9);
      }),
    );
  });

  it("is the mean of the inverses of single records, each inverted outright", () => {
    const { blocks, query } = gradientsOf({ records: 7, columns: [5], seed: 9 });
    const [block] = blocks as [Block];
    const total = new Float64Array(5);
    for (let i = 0; i < 7; i++) {
      const outer = covariance(matrix(1, 5, row(block, i)));
      solve(factor(outer, entryDamping(block)), query[0]!).forEach((x, j) => {
        total[j]! += x / 7;
      });
    }
    expect(relativeError(dataInf(blocks, query), times(block, total))).toBeLessThan(1e-9);
  });

  it("equals the reference's float32 result to 1e-6", () => {
    const golden = JSON.parse(
      readFileSync(join(import.meta.dirname, "fixtures/golden-datainf.json"), "utf8"),
    ) as Record<"records" | "queries", number[][][]> & { scores: number[][] };
    const blocks = golden.records.map((rows) => matrix(6, rows[0]!.length, Float32Array.from(rows.flat())));
    golden.scores.forEach((expected, q) => {
      const query = golden.queries.map((vectors) => Float32Array.from(vectors[q]!));
      expect(relativeError(dataInf(blocks, query), Float64Array.from(expected))).toBeLessThan(1e-6);
    });
  });
});

describe("projection", () => {
  it("keeps inner products in expectation, each side by the same seed", () => {
    const x = row(random(1, 400, 11), 0);
    const y = x.map((value, i) => value + row(random(1, 400, 12), 0)[i]! * 0.5);
    const estimates = Array.from({ length: 200 }, (_, seed) => {
      const shape = { columns: 64, nonZeros: 4, seed };
      return dot(project(x, shape), project(y, shape));
    });
    const mean = estimates.reduce((a, b) => a + b) / 200;
    expect(Math.abs(mean / dot(x, y) - 1)).toBeLessThan(0.05);
  });

  it("gives scores close to those without it where there are many columns", () => {
    const { blocks, query } = gradientsOf({ records: 30, columns: [300], seed: 13 });
    const shape = { columns: 4096, nonZeros: 8, seed: 1 };
    const small = blocks.map((block, position) => projectBlock(block, shape, position));
    const found = scores(dual(small, 0.1), projectQuery(query, shape));
    expect(relativeError(found, scores(dual(blocks, 0.1), query))).toBeLessThan(0.25);
  });

  it("is the same for a seed and another for another", () => {
    const shape = { columns: 16, nonZeros: 2, seed: 3 };
    const x = Float64Array.of(1, 2, 3);
    expect(project(x, shape)).toEqual(project(x, shape));
    expect(project(x, shape)).not.toEqual(project(x, { ...shape, seed: 4 }));
  });
});

describe("trajectory", () => {
  it("sums gradient dot products over checkpoints by learning rate", () => {
    const one = { blocks: [matrix(2, 2, Float64Array.of(1, 0, 0, 2))], query: [Float64Array.of(3, 5)] };
    expect([...tracIn([{ ...one, learningRate: 0.5 }])]).toEqual([1.5, 5]);
    expect([
      ...tracIn([
        { ...one, learningRate: 0.5 },
        { ...one, learningRate: 1 },
      ]),
    ]).toEqual([4.5, 15]);
  });

  it("compares directions over all blocks together, and a zero gradient has none", () => {
    const blocks = [matrix(3, 1, Float64Array.of(3, 0, -6)), matrix(3, 1, Float64Array.of(4, 0, -8))];
    const query = [Float64Array.of(3), Float64Array.of(4)];
    const [same, none, opposite] = less([{ blocks, query, learningRate: 1 }]);
    expect(same).toBeCloseTo(1, 12);
    expect(none).toBe(0);
    expect(opposite).toBeCloseTo(-1, 12);
  });

  it("takes Adam's first step to be the gradient's sign, as the bias correction makes it", () => {
    const zero = new Float64Array(3);
    const direction = adamDirection(Float64Array.of(0.3, -2, 0), { first: zero, second: zero, step: 1 });
    expect(direction[0]).toBeCloseTo(1, 6);
    expect(direction[1]).toBeCloseTo(-1, 6);
    expect(direction[2]).toBe(0);
  });

  it("adds standardised scores, so that neither source's unit decides", () => {
    const a = Float64Array.of(1, 2, 3);
    const alone = hybrid(a, Float64Array.of(5, 5, 5));
    expect(
      relativeError(
        hybrid(
          a.map((x) => x * 1000),
          new Float64Array(3),
        ),
        alone,
      ),
    ).toBeLessThan(1e-12);
    expect(hybrid(a, Float64Array.of(300, 200, 100)).every((x) => Math.abs(x) < 1e-12)).toBe(true);
  });

  it("keeps their unit in the average of influences and similarities, and ranks as the sum of both does", () => {
    const a = Float64Array.of(1, 2, 6);
    expect([
      ...hybridInfluence(
        a,
        a.map((x) => x * 1000 + 7),
      ),
    ]).toEqual([...a].map((x) => expect.closeTo(x, 9)));
    const texts = Float64Array.of(0.9, 0.1, 0.2);
    const ranks = (of: Float64Array) => [0, 1, 2].sort((i, j) => of[i]! - of[j]!);
    expect(ranks(hybridInfluence(a, texts))).toEqual(ranks(hybrid(a, texts)));
    expect([...hybridInfluence(Float64Array.of(4, 4), Float64Array.of(0, 1))]).toEqual([4, 4]);
  });
});

describe("TRAK", () => {
  it("has a margin that still moves where the probability is almost one", () => {
    expect(margin(Math.log(0.5))).toBeCloseTo(0, 12);
    expect(margin(-1e-12)).toBeCloseTo(Math.log(1e12), 3);
    expect(complement(-1e-12)).toBeCloseTo(1e-12, 20);
    expect(Number.isFinite(margin(0))).toBe(true);
  });

  it("is the leverage of the least-squares fit for one model, averaged over several", () => {
    const features = random(20, 4, 15);
    const complements = Float64Array.from({ length: 20 }, (_, i) => (i + 1) / 21);
    const query = row(features, 3);
    const found = trak([{ features, query, complements }], 0);
    const hat = times(features, solve(factor(covariance(features)), query));
    expect(
      relativeError(
        found,
        hat.map((x, i) => x * complements[i]!),
      ),
    ).toBeLessThan(1e-12);
    const twice = trak(
      [
        { features, query, complements },
        { features, query, complements },
      ],
      0,
    );
    expect(relativeError(twice, found)).toBeLessThan(1e-12);
  });
});

describe("matrix", () => {
  it("multiplies the same in both directions", () => {
    const m = random(6, 9, 16);
    const [x, y] = [row(random(1, 9, 17), 0), row(random(1, 6, 18), 0)];
    expect(dot(times(m, x), y)).toBeCloseTo(dot(x, timesTransposed(m, y)), 10);
  });

  it("names the record whose gradient is no number", () => {
    const block = matrix(2, 2, Float64Array.of(1, 2, Number.NaN, 4));
    expect(() => assertFinite(block, ["a", "b"])).toThrow(/record b is not finite/);
    expect(() => assertFinite(matrix(1, 2), ["a"])).not.toThrow();
  });
});
