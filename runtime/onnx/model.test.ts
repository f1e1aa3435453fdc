import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { constantFloat, constantFloats, create, type Graph, input, output, type Tensor } from "./graph.ts";
import { encode } from "./model.ts";
import * as op from "./ops.ts";
import * as wire from "./wire.ts";

const x23 = [1, 2, 3, 4, 5, 6];

/** Build a graph over x[A, B] (values 1…6, A = 2, B = 3), run it, and return its result. */
async function compute(
  build: (graph: Graph, x: Tensor) => Tensor,
): Promise<{ values: number[]; dims: number[] }> {
  const graph = create("test");
  const result = build(graph, input(graph, "x", "float32", ["A", "B"]));
  output(graph, "y", result);
  const session = await ort.InferenceSession.create(encode(graph));
  const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.from(x23), [2, 3]) });
  return { values: Array.from(y?.data as Float32Array), dims: [...(y?.dims ?? [])] };
}

describe("the wire format", () => {
  it.each([
    [wire.integer(1, 150), "089601"],
    [wire.integer(1, -1), "08ffffffffffffffffff01"],
    [wire.text(2, "testing"), "120774657374696e67"],
    [wire.message(3, [wire.integer(1, 150)]), "1a03089601"],
    [wire.packedIntegers(6, [3, 270, 86942]), "3206038e029ea705"],
    [wire.float(2, 1), "150000803f"],
  ])("encodes the published example %#", (bytes, hex) => {
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
  });
});

describe("a graph", () => {
  it("encodes to the same bytes every time", () => {
    const build = () => {
      const graph = create("same");
      const x = input(graph, "x", "float32", ["A", "B"]);
      output(graph, "y", op.add(graph, op.softmax(graph, x), constantFloat(graph, 1)));
      return encode(graph);
    };
    expect(build()).toEqual(build());
  });

  it("multiplies matrices with broadcast leading axes", async () => {
    const { values, dims } = await compute((graph, x) => {
      const y = constantFloats(graph, "w", Float32Array.of(1, 0, 0, 1, 2, 2), [3, 2]);
      const fixed = op.reshape(graph, x, ["A", 3]);
      return op.matmul(graph, op.unsqueeze(graph, fixed, [0]), op.unsqueeze(graph, y, [0, 1]));
    });
    expect(dims).toEqual([1, 1, 2, 2]);
    expect(values).toEqual([7, 8, 16, 17]);
  });

  it("applies a linear layer with its weight transposed", async () => {
    const { values } = await compute((graph, x) => {
      const w = constantFloats(graph, "w", Float32Array.of(1, 0, 0, 1, 1, 1), [2, 3]);
      return op.linear(graph, op.reshape(graph, x, ["A", 3]), w);
    });
    expect(values).toEqual([1, 6, 4, 15]);
  });

  it("reshapes with two symbolic axes and swaps them", async () => {
    const { values, dims } = await compute((graph, x) => {
      const spread = op.reshape(graph, x, ["A", "B", 1]);
      return op.transpose(graph, spread, [1, 0, 2]);
    });
    expect(dims).toEqual([3, 2, 1]);
    expect(values).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it("slices, halves and joins", async () => {
    const { values } = await compute((graph, x) => {
      const two = op.slice(graph, x, { axis: -1, from: 1, to: 3, dim: 2 });
      const [low, high] = op.halves(graph, two);
      return op.concat(graph, [high, low], -1);
    });
    expect(values).toEqual([3, 2, 6, 5]);
  });

  it("takes means, roots and logarithmic softmax over the last axis", async () => {
    const mean = await compute((graph, x) => op.sqrt(graph, op.meanLast(graph, x)));
    expect(mean.values).toEqual([Math.fround(Math.sqrt(2)), Math.fround(Math.sqrt(5))]);
    const { values } = await compute((graph, x) => op.logSoftmax(graph, x));
    expect(values[2]).toBeCloseTo(-Math.log(1 + Math.exp(-1) + Math.exp(-2)), 6);
  });

  it("refuses shapes that do not fit while it is built", () => {
    const graph = create("bad");
    const x = input(graph, "x", "float32", ["A", 3]);
    const y = input(graph, "y", "float32", [2, 4]);
    expect(() => op.matmul(graph, x, y)).toThrow(/matmul/);
    expect(() => op.linear(graph, x, y)).toThrow(/linear/);
    expect(() => op.add(graph, x, y)).toThrow(/broadcast/);
    expect(() => op.size(graph, "Z")).toThrow(/no input has an axis Z/);
  });
});
