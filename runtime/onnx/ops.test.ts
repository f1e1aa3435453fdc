import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { constantFloat, constantIntegers, create, type Graph, input, output, type Tensor } from "./graph.ts";
import { encode } from "./model.ts";
import * as op from "./ops.ts";
import { gradients } from "./tape.ts";

interface Stored {
  type: "float32" | "float16" | "bfloat16" | "int64" | "bool";
  shape: number[];
  /** What JSON lacks is "inf", "-inf" or "nan"; of 16-bit types the stored bits. */
  values: (number | string | boolean)[];
}
interface GoldenValue {
  name: string;
  inputs: Stored[];
  result: Stored;
}
interface Golden {
  name: string;
  inputs: Stored[];
  constants: Stored[];
  cotangent: Stored;
  result: Stored;
  gradients: Stored[];
}
const { gradients: cases, values: valueCases }: { gradients: Golden[]; values: GoldenValue[] } = JSON.parse(
  await readFile(join(import.meta.dirname, "../fixtures/golden-ops.json"), "utf8"),
);

type Build = (graph: Graph, ...inputs: [Tensor, Tensor, Tensor, Tensor]) => Tensor;

/** How each case of make-golden-ops.py is built here: differentiable inputs first, then constants. */
const builds: Record<string, Build> = {
  add: op.add,
  sub: op.sub,
  mul: op.mul,
  scale: (graph, x) => op.scale(graph, x, 0.7),
  neg: op.neg,
  sqrt: op.sqrt,
  reciprocal: op.reciprocal,
  exp: op.exp,
  log: op.log,
  sigmoid: op.sigmoid,
  tanh: op.tanh,
  erf: op.erf,
  where: (graph, x, y) => {
    const [row, column] = [constantIntegers(graph, [0, 1, 2, 3]), constantIntegers(graph, [0, 1, 2])];
    return op.where(graph, op.greaterOrEqual(graph, row, op.unsqueeze(graph, column, [1])), x, y);
  },
  sumLast: op.sumLast,
  meanLast: op.meanLast,
  sumAll: op.sumAll,
  softmax: op.softmax,
  logSoftmax: op.logSoftmax,
  rows: op.rows,
  pick: op.pick,
  addAt: (graph, x, updates, indices) => op.addAt(graph, x, indices, updates),
  transpose: (graph, x) => op.transpose(graph, x, [2, 0, 1]),
  reshape: (graph, x) => op.reshape(graph, x, ["x0*x1", 4]),
  unsqueeze: (graph, x) => op.unsqueeze(graph, x, [1, 3]),
  concat: (graph, x, y) => op.concat(graph, [x, y], 1),
  split: (graph, x) => op.split(graph, x, [1, 4, 2])[1]!,
  halves: (graph, x) => op.mul(graph, ...op.halves(graph, x)),
  slice: (graph, x) => op.slice(graph, x, { axis: 1, from: 1, to: 3, dim: 2 }),
  gemm: (graph, x, y, plus) => op.gemm(graph, x, y, { transposeX: true, transposeY: true, alpha: 0.5, plus }),
  linear: op.linear,
  matmul: op.matmul,
  flip: op.flip,
  frozenLinear: (graph, x, weight, bias) => op.frozenLinear(graph, x, { weight, bias, lies: "in-out" }),
  adaptedLinear: (graph, x, a, b, weight) =>
    op.adaptedLinear(
      graph,
      x,
      { weight, lies: "out-in" },
      { a: op.summed(graph, a), b: op.summed(graph, b), scale: 1.5 },
    ),
  silu: op.silu,
  gelu: op.gelu,
  geluTanh: op.geluTanh,
  softcap: (graph, x) => op.softcap(graph, x, 2.5),
  rmsNorm: (graph, x, weight) => op.rmsNorm(graph, x, weight, 1e-5),
  layerNorm: (graph, x, weight, bias) => op.layerNorm(graph, x, weight, bias, 1e-5),
  rotateHalves: (graph, x, cos, sin) => op.rotateHalves(graph, x, { cos, sin }),
  rotatePairs: (graph, x, cos, sin) => op.rotatePairs(graph, x, { cos, sin }),
  crossEntropy: op.crossEntropy,
  attention: (graph, query, key, value) => {
    const scores = op.scale(graph, op.matmul(graph, query, op.flip(graph, key)), 1 / Math.sqrt(4));
    return op.matmul(graph, op.softmax(graph, scores), value);
  },
  summed: (graph, left, right) => op.summed(graph, left).outer(left, right),
};

/** The same of ops that no gradient flows through. */
const valueBuilds: Record<string, (graph: Graph, x: Tensor, y: Tensor) => Tensor> = {
  greaterOrEqual: op.greaterOrEqual,
  equal: op.equal,
  and: op.and,
  cast: (graph, x) => op.cast(graph, x, "float32"),
  maxLast: op.maxLast,
  zerosLike: op.zerosLike,
  size: (graph) => op.size(graph, "x0"),
  range: (graph) => op.range(graph, "x0"),
};

/** Largest relative error, L2, of a value or gradient against float32 PyTorch. */
const relativeErrorMax = 2e-6;

/** An input; where it is the only one, all its axes but the last are symbolic. */
function declare(graph: Graph, name: string, { type, shape }: Stored, isAlone: boolean): Tensor {
  const isSymbolic = (axis: number) => isAlone && axis < shape.length - 1;
  return input(
    graph,
    name,
    type,
    shape.map((size, axis) => (isSymbolic(axis) ? `x${axis}` : size)),
  );
}

function feed({ type, shape, values }: Stored): ort.Tensor {
  switch (type) {
    case "int64":
      return new ort.Tensor(type, BigInt64Array.from(values, BigInt), shape);
    case "bool":
      return new ort.Tensor(type, Uint8Array.from(values, Number), shape);
    default:
      return new ort.Tensor("float32", numbersOf(values), shape);
  }
}

const spelt: Readonly<Record<string, number>> = {
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
};

function numbersOf(values: Stored["values"]): Float32Array {
  return Float32Array.from(values, (value) =>
    typeof value === "string" ? (spelt[value] ?? Number.NaN) : Number(value),
  );
}

/** A 16-bit constant of the graph: this runtime takes none as an input. */
function constantHalves(graph: Graph, name: string, { type, shape, values }: Stored): Tensor {
  const tensor: Tensor = { name, type, shape };
  const bytes = new Uint8Array(Uint16Array.from(values, Number).buffer);
  graph.initializers.push({ tensor, data: { kind: "inline", bytes } });
  return tensor;
}

const names = ["x", "y", "z", "w"];

/** One case as a session that returns the result, its inner product with the cotangent, and all gradients. */
async function open(golden: Golden): Promise<(inputs: Stored[]) => Promise<Record<string, ort.Tensor>>> {
  const graph = create(golden.name);
  const all = [...golden.inputs, ...golden.constants];
  const tensors = all.map((stored, index) => declare(graph, names[index]!, stored, all.length === 1));
  const result = builds[golden.name]!(graph, ...(tensors as [Tensor, Tensor, Tensor, Tensor]));
  const cotangent = input(graph, "cotangent", "float32", result.shape);
  const loss = op.sumAll(graph, op.mul(graph, result, cotangent));
  const parameters = tensors.slice(0, golden.inputs.length);
  const found = gradients(graph, loss, parameters);
  output(graph, "result", result);
  output(graph, "loss", loss);
  for (const [index, gradient] of found.entries()) output(graph, `gradient.${index}`, gradient);
  const session = await ort.InferenceSession.create(encode(graph));
  return (inputs) => {
    const feeds = Object.fromEntries(
      [...inputs, ...golden.constants].map((stored, index) => [names[index]!, feed(stored)]),
    );
    return session.run({ ...feeds, cotangent: feed(golden.cotangent) });
  };
}

function relativeError(given: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(given.length).toBe(expected.length);
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += (given[index]! - expected[index]!) ** 2;
    norm += expected[index]! ** 2;
  }
  return Math.sqrt(difference / Math.max(norm, 1e-12));
}

describe.each(cases.map((golden) => ({ golden, name: golden.name })))("$name", ({ golden }) => {
  it("has PyTorch's value and gradients", async () => {
    const outputs = await (await open(golden))(golden.inputs);
    expect([...outputs.result!.dims]).toEqual(golden.result.shape);
    expect(relativeError(outputs.result!.data as Float32Array, numbersOf(golden.result.values))).toBeLessThan(
      relativeErrorMax,
    );
    Object.keys(outputs)
      .filter((name) => name.startsWith("gradient."))
      .forEach((name, index) => {
        const expected = golden.gradients[index]!;
        expect([...outputs[name]!.dims]).toEqual(expected.shape);
        expect(
          relativeError(outputs[name]!.data as Float32Array, numbersOf(expected.values)),
          name,
        ).toBeLessThan(relativeErrorMax);
      });
  });

  it("changes by its gradient along a direction", async () => {
    const run = await open(golden);
    const step = 1 / 64;
    const moved = (sign: number) =>
      golden.inputs.map((stored, index) => ({
        ...stored,
        values: stored.values.map((value, at) => Number(value) + sign * step * direction(index, at)),
      }));
    const [up, down, here] = [await run(moved(1)), await run(moved(-1)), await run(golden.inputs)];
    const slope = ((up.loss!.data[0] as number) - (down.loss!.data[0] as number)) / (2 * step);
    let predicted = 0;
    let size = 0;
    golden.inputs.forEach((_, index) => {
      const gradient = here[`gradient.${index}`]!.data;
      for (let at = 0; at < gradient.length; at++) {
        predicted += (gradient[at] as number) * direction(index, at);
        size += Math.abs(gradient[at] as number);
      }
    });
    expect(Math.abs(slope - predicted)).toBeLessThan(2e-3 * size);
  });
});

describe.each(valueCases.map((golden, index) => ({ golden, title: `${golden.name}, case ${index}` })))(
  "$title",
  ({ golden }) => {
    it("has PyTorch's value exactly, and no derivative", async () => {
      const { inputs } = golden;
      const graph = create(golden.name);
      const isHalf = ({ type }: Stored) => type === "float16" || type === "bfloat16";
      const tensors = inputs.map((stored, index) =>
        isHalf(stored)
          ? constantHalves(graph, names[index]!, stored)
          : declare(graph, names[index]!, stored, inputs.length === 1),
      );
      const result = valueBuilds[golden.name]!(graph, ...(tensors as [Tensor, Tensor]));
      expect(graph.tape).toEqual([]);
      expect(result.type).toBe(golden.result.type);
      output(graph, "result", result);
      const session = await ort.InferenceSession.create(encode(graph));
      const fed = inputs.flatMap((stored, index) => (isHalf(stored) ? [] : [[names[index]!, feed(stored)]]));
      const { result: given } = await session.run(Object.fromEntries(fed));
      const expected = feed(golden.result);
      expect([given!.type, given!.dims, given!.data]).toEqual([expected.type, expected.dims, expected.data]);
    });
  },
);

it("is asked of every op: its value and derivative, or, where it has none, its exact value", () => {
  const covered = new Set([...cases, ...valueCases].map(({ name }) => name));
  expect(Object.keys(op).filter((name) => !covered.has(name))).toEqual([]);
});

it("notices a wrong derivative, so that agreement above means something", async () => {
  const golden = cases.find(({ name }) => name === "tanh")!;
  const outputs = await (await open(golden))(golden.inputs);
  const wrong = numbersOf(cases.find(({ name }) => name === "erf")!.gradients[0]!.values);
  expect(relativeError(outputs["gradient.0"]!.data as Float32Array, wrong)).toBeGreaterThan(0.1);
});

describe("gradients", () => {
  it("add up over every use of a value, and pass over what the loss does not need", async () => {
    const graph = create("uses");
    const x = input(graph, "x", "float32", ["A"]);
    const y = op.mul(graph, x, x);
    op.exp(graph, y);
    const loss = op.sumAll(graph, op.add(graph, op.mul(graph, y, x), x));
    const before = graph.tape.length;
    const [gradient] = gradients(graph, loss, [x]);
    expect(graph.tape.length).toBe(before);
    output(graph, "gradient", gradient!);
    const session = await ort.InferenceSession.create(encode(graph));
    const result = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2, -3), [3]) });
    expect([...(result.gradient!.data as Float32Array)]).toEqual([4, 13, 28]);
  });

  it("start from a seed of the loss's shape", () => {
    const graph = create("seed");
    const x = input(graph, "x", "float32", ["A"]);
    expect(() => gradients(graph, op.exp(graph, x), [x])).toThrow(/a seed has the loss's shape/);
    expect(() => gradients(graph, constantFloat(graph, 1), [x])).toThrow(/does not depend on x/);
  });
});

/** A fixed direction of ±1 entries. */
function direction(input: number, index: number): number {
  return ((index * 7 + input * 3) % 5) % 2 === 0 ? 1 : -1;
}
