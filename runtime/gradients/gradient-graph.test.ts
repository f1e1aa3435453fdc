import { describe, expect, it } from "vitest";
import { feedFactors, feedTokens, readFamily, relativeError } from "#runtime/fixtures/golden-family";
import { floats, integers, openGraph } from "#runtime/inference/session";
import { encode } from "#runtime/onnx/model";
import { gradientGraph, type Reduction } from "./gradient-graph.ts";
import { projection } from "./projection.ts";

const golden = await readFamily("llama3");
const { targets, feeds } = feedFactors(golden);
const { positions: _, segments: __, ...tokens } = feedTokens(golden);
const keys = Object.keys(feeds);

async function run(reduction: Reduction, more: Record<string, ReturnType<typeof floats>> = {}) {
  const graph = gradientGraph(golden.folder, targets, reduction);
  const { run: session } = await openGraph(graph.name, encode(graph), golden.folder.path);
  return session({ ...feeds, ...tokens, ...more });
}

const full = await run({ kind: "full" });

/** Gradient of one sequence: [P, Q], row major. */
function gradientOf(key: string, sequence: number): Float32Array {
  const both = full[`gradient.${key}`]!;
  return both.subarray(
    (sequence * both.length) / golden.batch,
    ((sequence + 1) * both.length) / golden.batch,
  );
}

const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
  Array.from(x).reduce((sum, value, index) => sum + value * y[index]!, 0);

describe("gradients by sequence", () => {
  it("are those of each sequence run alone", async () => {
    const graph = gradientGraph(golden.folder, targets, { kind: "full" });
    const { run: session } = await openGraph(graph.name, encode(graph), golden.folder.path);
    const alone = await session({
      ...feeds,
      tokenIds: integers(golden.tokenIds.slice(golden.tokens), [1, golden.tokens]),
      targetRows: integers([6, 7, 8, 9], [4]),
      targetIds: integers(golden.tokenIds.slice(golden.tokens + 7, golden.tokens + 11), [4]),
      targetWeights: floats(new Float32Array(4).fill(0.5), [4]),
    });
    for (const key of keys) {
      expect(relativeError(gradientOf(key, 1), alone[`gradient.${key}`]!), key).toBeLessThan(2e-6);
    }
  });

  it("multiply with given gradients inside the graph", async () => {
    const queries = keys.map((key) => {
      const values = Float32Array.from([...gradientOf(key, 1), ...gradientOf(key, 0), ...gradientOf(key, 0)]);
      const shape = feeds[key]!.dims;
      return [`query.${key}`, floats(values, [3, ...shape])] as const;
    });
    const outputs = await run({ kind: "products" }, Object.fromEntries(queries));
    for (const key of keys) {
      const [first, second] = [gradientOf(key, 0), gradientOf(key, 1)];
      const expected = [
        [first, second],
        [first, first],
        [first, first],
        [second, second],
        [second, first],
        [second, first],
      ];
      const products = expected.map(([x, y]) => dot(x!, y!));
      expect(relativeError(outputs[`gradient.${key}`]!, products), key).toBeLessThan(1e-5);
    }
  });

  it("shrink inside the graph to what the seeded matrices make of them", async () => {
    const size = { rows: 3, columns: 5 };
    const outputs = await run({ kind: "projected", ...size, seed: 9n });
    for (const key of keys) {
      const [rows, columns] = feeds[key]!.dims as unknown as [number, number];
      const { left, right } = projection(key, [rows, columns], size, 9n);
      const expected = [0, 1].flatMap((sequence) => [
        ...apply(gradientOf(key, sequence), rows, columns, left, right),
      ]);
      expect(relativeError(outputs[`gradient.${key}`]!, expected), key).toBeLessThan(1e-5);
    }
  });
});

describe("projection matrices", () => {
  it("follow from name and seed, and differ by either", () => {
    const make = (name: string, seed: bigint) => projection(name, [40, 60], { rows: 8, columns: 8 }, seed);
    expect(make("x", 1n)).toEqual(make("x", 1n));
    expect(make("x", 1n)).not.toEqual(make("x", 2n));
    expect(make("x", 1n)).not.toEqual(make("y", 1n));
  });

  it("leave alone what is small already", () => {
    expect(projection("x", [4, 60], { rows: 8, columns: 60 }, 1n)).toEqual({ left: null, right: null });
  });

  it("keep inner products in expectation", () => {
    const x = Float32Array.from({ length: 24 }, (_value, index) => Math.sin(index));
    const y = Float32Array.from({ length: 24 }, (_value, index) => Math.sin(index + 0.5));
    let sum = 0;
    const trials = 4000;
    for (let seed = 0; seed < trials; seed++) {
      const { left, right } = projection("x", [4, 6], { rows: 3, columns: 4 }, BigInt(seed));
      sum += dot(apply(x, 4, 6, left, right), apply(y, 4, 6, left, right));
    }
    expect(Math.abs(sum / trials / dot(x, y) - 1)).toBeLessThan(0.05);
  });
});

/** L·G·Rᵀ in plain loops. */
function apply(
  gradient: Float32Array,
  rows: number,
  columns: number,
  left: Float32Array | null,
  right: Float32Array | null,
): number[] {
  const tall = left ? left.length / rows : rows;
  const wide = right ? right.length / columns : columns;
  const l = (i: number, p: number) => (left ? left[i * rows + p]! : Number(i === p));
  const r = (j: number, q: number) => (right ? right[j * columns + q]! : Number(j === q));
  return Array.from({ length: tall * wide }, (_value, index) => {
    const [i, j] = [Math.floor(index / wide), index % wide];
    let sum = 0;
    for (let p = 0; p < rows; p++) {
      for (let q = 0; q < columns; q++) sum += l(i, p) * gradient[p * columns + q]! * r(j, q);
    }
    return sum;
  });
}
