import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { dot, matrix, row } from "../influence/matrix.ts";
import { measureAttack } from "./attacks.ts";
import { ldsInterval, linearDatamodelling, pearson, spearman } from "./correlation.ts";
import { measureDigits, parseDigits } from "./digits.ts";
import { gradients, hessian, losses, optimum } from "./logistic.ts";

const csv = gunzipSync(
  readFileSync(join(import.meta.dirname, "../../benchmarks/attribution/digits.csv.gz")),
).toString("utf8");
const digits = parseDigits(csv);
/** The digits 0 to 3 alone: fewer classes, so that the many fits of a test are quick. */
const fourDigits = parseDigits(
  csv
    .split("\n")
    .filter((line) => /,[0-3]$/.test(line))
    .join("\n"),
  4,
);
const some = Array.from({ length: 60 }, (_, i) => i);

describe("correlation", () => {
  it("is one for a line, minus one for its mirror, zero where nothing varies", () => {
    expect(pearson([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12);
    expect(pearson([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
    expect(pearson([1, 1, 1], [1, 2, 3])).toBe(0);
  });

  it("ranks, so that only the order counts, and ties share their rank", () => {
    expect(spearman([1, 10, 100], [1, 2, 3])).toBeCloseTo(1, 12);
    expect(spearman([1, 1, 2], [1, 2, 2])).toBeCloseTo(0.5, 12);
  });

  it("finds the linear model behind subset losses, with an interval around the mean", () => {
    const truth = Float64Array.of(3, -1, 2, 0, 5, -4);
    const next = pcg32(1n);
    const subsets = Array.from({ length: 40 }, () => [0, 1, 2, 3, 4, 5].filter(() => next() & 1));
    const retrainings = {
      subsets,
      losses: subsets.map((records) => [10 - records.reduce((total, i) => total + truth[i]!, 0)]),
    };
    expect(linearDatamodelling([truth], retrainings)[0]).toBeCloseTo(1, 12);
    const { mean, low, high } = ldsInterval([truth.map((x, i) => x + i)], retrainings);
    expect(low).toBeLessThan(mean);
    expect(high).toBeGreaterThan(mean);
    expect(linearDatamodelling([truth.map((x) => -x)], retrainings)[0]).toBeCloseTo(-1, 12);
  });
});

describe("logistic regression", () => {
  it("has gradients and a Hessian that finite differences confirm", () => {
    const next = pcg32(2n);
    const theta = Float64Array.from({ length: 650 }, () => next() / 2 ** 32 - 0.5);
    const total = (at: Float64Array) => losses(digits, some, at).reduce((a, b) => a + b) / some.length;
    const gradientAt = (at: Float64Array, i: number) => {
      const rows = gradients(digits, some, at);
      return some.reduce((sum, record) => sum + rows.values[record * 650 + i]!, 0) / some.length;
    };
    const shifted = (i: number, step: number) => theta.with(i, theta[i]! + step) as Float64Array<ArrayBuffer>;
    const h = hessian(digits, some, theta, 0);
    for (const i of [10, 64, 330, 641]) {
      const slope = (total(shifted(i, 1e-5)) - total(shifted(i, -1e-5))) / 2e-5;
      expect(gradientAt(theta, i)).toBeCloseTo(slope, 7);
      const curvature = (gradientAt(shifted(10, 1e-5), i) - gradientAt(shifted(10, -1e-5), i)) / 2e-5;
      expect(h.values[i * 650 + 10]).toBeCloseTo(curvature, 6);
    }
  });

  it("stops at the optimum from wherever it starts", () => {
    const one = optimum(digits, some, 0.1);
    const other = optimum(digits, some, 0.1, { start: new Float64Array(650).fill(0.3) });
    const difference = one.map((x, i) => x - other[i]!);
    expect(Math.sqrt(dot(difference, difference))).toBeLessThan(1e-7);
  });
});

describe("digits", () => {
  it("reads 1,797 records with the constant in place", () => {
    expect(digits.features.rows).toBe(1_797);
    expect([...row(digits.features, 0).subarray(0, 4), row(digits.features, 0)[64]]).toEqual([
      0,
      0,
      5 / 16,
      13 / 16,
      1,
    ]);
    expect([...digits.labels.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
    expect(matrix(1, 1).values[0]).toBe(0);
  });

  it("predicts leaving out and halves by exact influence, by eFIM almost, by DataInf hardly better than by a dot product", () => {
    const size = { trainCount: 120, queryCount: 12, leaveOneOutCount: 10, subsetCount: 24, ridge: 0.01 };
    const { leaveOneOut, lds } = measureDigits(fourDigits, size, 1n);
    expect(leaveOneOut.mean).toBeGreaterThan(0.99);
    expect(lds.exact.mean).toBeGreaterThan(0.9);
    expect(lds.efim.mean).toBeGreaterThan(lds.dataInf.mean);
    expect(lds.exact.mean).toBeGreaterThan(lds.efim.mean);
    expect(Math.abs(lds.dataInf.mean - lds.gradientDot.mean)).toBeLessThan(0.1);
  });
});

describe("attacks on payments", () => {
  const size = {
    ownerCount: 6,
    recordsPerOwner: 20,
    junkCount: 24,
    gateCount: 60,
    windowCount: 40,
    dampingRatio: 0.003,
    isListed: false,
  };

  it("earn copies exactly nothing, and flipped labels less than they would undefended", () => {
    const copied = measureAttack(digits, "copied", 1n, size);
    expect([copied.oneIdentity, copied.identityEach, copied.isolated, copied.undefended]).toEqual([
      0, 0, 0, 0,
    ]);
    const flipped = measureAttack(digits, "flipped", 1n, size);
    expect(flipped.undefended).toBeGreaterThan(0.05);
    expect(flipped.identityEach).toBeLessThan(flipped.undefended / 2);
    expect(flipped.oneIdentity).toBeLessThanOrEqual(flipped.identityEach);
    const listed = measureAttack(digits, "flipped", 1n, { ...size, isListed: true });
    expect(listed.undefended).toBeGreaterThan(0);
    expect(listed.identityEach).toBeLessThan(listed.undefended);
  });
});
