import * as ort from "onnxruntime-node";
import { expect, it } from "vitest";
import { create, input, output } from "./graph.ts";
import { encode } from "./model.ts";
import * as op from "./ops.ts";
import { recomputed } from "./recompute.ts";
import { gradients } from "./tape.ts";

/** Σ of an adapted layer over gate · silu, and its gradients; `wrap` says how the product between is held. */
function build(wrap: typeof recomputed) {
  const graph = create("layer");
  const x = input(graph, "x", "float32", ["N", 4]);
  const weights = ["gate", "up"].map((name) => input(graph, name, "float32", [6, 4]));
  const [gate, up] = weights.map((weight) => op.linear(graph, x, weight));
  const product = wrap(graph, [gate!, up!] as const, (g, u) => op.mul(graph, op.silu(graph, g), u));
  const factors = { a: input(graph, "a", "float32", [2, 6]), b: input(graph, "b", "float32", [3, 2]) };
  const weight = input(graph, "down", "float32", [3, 6]);
  const change = { a: op.summed(graph, factors.a), b: op.summed(graph, factors.b), scale: 2 };
  const result = op.adaptedLinear(graph, product, { weight, lies: "out-in" }, change);
  const forward = graph.nodes.length;
  const loss = op.sumAll(graph, op.mul(graph, result, result));
  const parameters = [...weights, factors.a, factors.b];
  gradients(graph, loss, parameters).forEach((gradient, index) => {
    output(graph, `gradient.${index}`, gradient);
  });
  return { graph, product, backward: graph.nodes.slice(forward) };
}

const kept: typeof recomputed = (_graph, inputs, make) => make(...inputs);

function feeds(): Record<string, ort.Tensor> {
  const shapes = { x: [5, 4], gate: [6, 4], up: [6, 4], a: [2, 6], b: [3, 2], down: [3, 6] };
  return Object.fromEntries(
    Object.entries(shapes).map(([name, [rows, columns]], salt) => {
      const values = Float32Array.from({ length: rows! * columns! }, (_, at) => Math.sin(at * 1.7 + salt));
      return [name, new ort.Tensor("float32", values, [rows!, columns!])];
    }),
  );
}

it("gives the gradients of a value that is kept, and reads the value no more", async () => {
  const reads = ({ product, backward }: ReturnType<typeof build>) =>
    backward.some(({ inputs }) => inputs.includes(product.name));
  const [again, once] = [build(recomputed), build(kept)];
  expect([reads(again), reads(once)]).toEqual([false, true]);
  const results = await Promise.all(
    [again, once].map(async ({ graph }) => (await ort.InferenceSession.create(encode(graph))).run(feeds())),
  );
  for (const [name, { data }] of Object.entries(results[0]!)) {
    const expected = results[1]![name]!.data as Float32Array;
    (data as Float32Array).forEach((value, at) => {
      expect(value, name).toBeCloseTo(expected[at]!, 4);
    });
  }
});

it("waits in the graph for the gradient that needs it", () => {
  const { graph, backward } = build(recomputed);
  const made = new Set(backward.flatMap(({ outputs }) => outputs));
  const silu = graph.nodes.filter(({ op }) => op === "Sigmoid");
  expect(silu).toHaveLength(2);
  const source = graph.nodes.find(({ outputs }) => outputs.includes(silu[1]!.inputs[0]!))!;
  expect(source.op).toBe("Reshape");
  const sizes = graph.nodes.find(({ outputs }) => outputs.includes(source.inputs[1]!))!;
  const shape = graph.nodes.find(({ outputs }) => outputs.includes(sizes.inputs[0]!))!;
  expect(shape.op).toBe("Shape");
  expect(made.has(shape.inputs[0]!)).toBe(true);
});
