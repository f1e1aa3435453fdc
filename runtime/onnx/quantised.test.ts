import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { dequantise, type Quantisation, quantise, zeroByte } from "#runtime/weights/quantisation";
import { create, type Graph, input, output, type Tensor } from "./graph.ts";
import { encode } from "./model.ts";
import * as op from "./ops.ts";
import type { QuantisedMatrix } from "./quantised.ts";
import { gradients } from "./tape.ts";

const [rows, inSize, outSize, rank] = [5, 192, 70, 4];
const next = pcg32(3n);
const random = (count: number) => Float32Array.from({ length: count }, () => next() / 2 ** 31 - 1);
const x = random(rows * inSize);
const weights = random(outSize * inSize);
const [a, b, bias] = [random(rank * inSize), random(outSize * rank), random(outSize)];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-quantised-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The matrix quantised into a file, at an odd offset as in safetensors, and what it then means. */
async function stored(quantisation: Quantisation): Promise<{ matrix: QuantisedMatrix; meant: Float32Array }> {
  const { codes, scales } = quantise(weights, quantisation)!;
  const zeros = new Uint8Array((scales.length * quantisation.bits) / 8).fill(zeroByte(quantisation));
  const file = `w${quantisation.bits}-${quantisation.blockSize}`;
  const parts = [Buffer.alloc(3), codes, Buffer.from(scales.buffer), zeros];
  await writeFile(join(folder, file), Buffer.concat(parts));
  const at = (index: number) => ({
    file,
    offset: parts.slice(0, index).reduce((sum, part) => sum + part.length, 0),
    bytes: parts[index]!.length,
  });
  const matrix = { name: "w", outSize, inSize, ...quantisation, codes: at(1), scales: at(2), zeros: at(3) };
  return { matrix, meant: dequantise(codes, scales, quantisation) };
}

/** The adapted layer's output and the gradients of its weighted sum by x, A and B. */
async function run(weightOf: (graph: Graph) => Tensor | QuantisedMatrix): Promise<Float32Array[]> {
  const graph = create("layer");
  const tensors = {
    x: input(graph, "x", "float32", ["N", inSize]),
    a: input(graph, "a", "float32", [rank, inSize]),
    b: input(graph, "b", "float32", [outSize, rank]),
    bias: input(graph, "bias", "float32", [outSize]),
    seed: input(graph, "seed", "float32", ["N", outSize]),
  };
  const frozen: op.FrozenLinear = { weight: weightOf(graph), lies: "out-in", bias: tensors.bias };
  const half = op.frozenLinear(graph, tensors.x, frozen);
  const change = { a: op.summed(graph, tensors.a), b: op.summed(graph, tensors.b), scale: 0.5 };
  const y = op.add(graph, half, op.adaptedLinear(graph, tensors.x, frozen, change));
  output(graph, "y", y);
  gradients(graph, y, [tensors.x, tensors.a, tensors.b], tensors.seed).forEach((gradient, index) => {
    output(graph, `g${index}`, gradient);
  });
  const session = await ort.InferenceSession.create(encode(graph), {
    extra: { session: { model_external_initializers_file_folder_path: folder } },
  });
  const of = (values: Float32Array, shape: number[]) => new ort.Tensor("float32", values, shape);
  const outputs = await session.run({
    x: of(x, [rows, inSize]),
    a: of(a, [rank, inSize]),
    b: of(b, [outSize, rank]),
    bias: of(bias, [outSize]),
    seed: of(weights.slice(0, rows * outSize), [rows, outSize]),
    ...(graph.inputs.some(({ name }) => name === "w") ? { w: of(plain, [outSize, inSize]) } : {}),
  });
  return ["y", "g0", "g1", "g2"].map((name) => outputs[name]?.data as Float32Array);
}

let plain: Float32Array = weights;

function relativeError(given: Float32Array, expected: Float32Array): number {
  let [difference, norm] = [0, 0];
  expected.forEach((value, index) => {
    difference += ((given[index] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

describe.each([
  { bits: 4, blockSize: 32 },
  { bits: 8, blockSize: 32 },
  { bits: 4, blockSize: 64 },
  { bits: 8, blockSize: 16 },
] as const)("a layer of $bits bits in blocks of $blockSize", (quantisation) => {
  it("gives the values and gradients of the matrix its codes stand for", async () => {
    const { matrix, meant } = await stored(quantisation);
    const quantised = await run(() => matrix);
    plain = meant;
    const expected = await run((graph) => input(graph, "w", "float32", [outSize, inSize]));
    expected.forEach((values, index) => {
      expect(relativeError(quantised[index]!, values), `output ${index}`).toBeLessThan(2e-6);
    });
    plain = weights;
    const unquantised = await run((graph) => input(graph, "w", "float32", [outSize, inSize]));
    expect(relativeError(quantised[0]!, unquantised[0]!)).toBeGreaterThan(1e-3);
  });
});
