import { cp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findTargets } from "#runtime/decoder/adapted";
import { linearsOf } from "#runtime/decoder/description";
import {
  editConfig,
  encodeSafetensors,
  hubCacheOf,
  randomFamily,
  randomModel,
  temporaryFolder,
} from "#runtime/fixtures/folders";
import { familyCases, relativeError } from "#runtime/fixtures/golden-family";
import { gradientGraph } from "#runtime/gradients/gradient-graph";
import { type LogProbRequest, openModel } from "#runtime/index";
import { floats, integers, openGraph } from "#runtime/inference/session";
import { encode } from "#runtime/onnx/model";
import { decodeFloats } from "./float-bytes.ts";
import { readModelFolder } from "./model-folder.ts";
import { dequantise, errorMax } from "./quantisation.ts";
import { quantiseFolder } from "./quantise-folder.ts";
import { read } from "./safetensors.ts";

/** Rows of 256 and 704 weights are whole blocks, rows of 680 are not. */
const whole = { intermediate_size: 704 };
const asked = Array.from({ length: 6 }, (_, index) => ({
  promptTokenIds: Array.from({ length: 40 * (index + 1) }, (_, at) => (at * 7 + index) % 1000),
  answerTokenIds: [4, 5 + index, 6],
}));

const someMatrices = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"];

async function quantised(source: string, bits: 4 | 8) {
  const folder = await temporaryFolder();
  return { folder, summary: await quantiseFolder(source, folder, { bits }) };
}

/** Write out, in float32, the numbers that a quantised folder stands for, its matrices as they lay before. */
async function writtenOut(folder: string): Promise<string> {
  const target = join(await temporaryFolder(), "written-out");
  await cp(folder, target, { recursive: true });
  await editConfig(target, { quantization_config: null });
  const found = await readModelFolder(folder);
  const file = await readFile(join(folder, "model.safetensors"));
  const bytesOf = ({ offset, bytes }: { offset: number; bytes: number }) =>
    file.subarray(offset, offset + bytes);
  const tensors = new Map(
    [...found.tensors].map(([name, entry]) => [
      name,
      { shape: entry.shape, values: decodeFloats("F32", bytesOf(entry)) },
    ]),
  );
  for (const [name, matrix] of found.quantised) {
    const values = dequantise(bytesOf(matrix.codes), decodeFloats("F32", bytesOf(matrix.scales)), matrix);
    const { outSize, inSize } = matrix;
    const isTurned = linearsOf(found.config).some(
      (each) => name === `${each.name}.weight` && each.lies === "in-out",
    );
    tensors.set(
      name,
      isTurned
        ? {
            shape: [inSize, outSize],
            values: values.map((_, at) => values[(at % outSize) * inSize + Math.floor(at / outSize)]!),
          }
        : { shape: [outSize, inSize], values },
    );
  }
  await writeFile(join(target, "model.safetensors"), encodeSafetensors(tensors));
  return target;
}

async function logProbs(folder: string, requests: readonly LogProbRequest[] = asked) {
  await using model = await openModel(folder);
  return {
    values: await model.logProb(requests),
    profile: model.profile(),
    artifactHash: model.artifactHash,
  };
}

/** Losses of one sequence and its gradients for adapters of some matrices. */
async function adapterGradients(path: string, modules = someMatrices): Promise<Map<string, Float32Array>> {
  const folder = await readModelFolder(path);
  const rank = 4;
  const targets = findTargets(
    folder.config,
    modules.map((name) => ({ name, rank, scale: 2 })),
  );
  const graph = gradientGraph(folder, targets, { kind: "full" });
  const { run } = await openGraph(graph.name, encode(graph), folder.path);
  const wave = (count: number) => Float32Array.from({ length: count }, (_, index) => Math.sin(index) / 10);
  const factors = [...targets].flatMap(([name, { linear }]) => [
    [`${name}.a`, floats(wave(rank * linear.inSize), [rank, linear.inSize])] as const,
    [`${name}.b`, floats(wave(linear.outSize * rank), [linear.outSize, rank])] as const,
  ]);
  const outputs = await run({
    ...Object.fromEntries(factors),
    tokenIds: integers(
      Array.from({ length: 64 }, (_, at) => (at * 13) % folder.config.vocabularySize),
      [1, 64],
    ),
    targetRows: integers([20, 40, 62], [3]),
    targetIds: integers([5, 6, 7], [3]),
    targetWeights: floats(Float32Array.of(1, 1, 0.5), [3]),
  });
  return new Map(Object.entries(outputs));
}

describe.each([4, 8] as const)("a folder quantised to %i bits", (bits) => {
  it("gives what its numbers written out in float32 give, to 1e-5", async () => {
    const source = await randomModel(whole);
    const { folder, summary } = await quantised(source, bits);
    expect(summary).toMatchObject({ matricesQuantised: 14, matricesKept: 0 });
    const [own, out, original] = [
      await logProbs(folder),
      await logProbs(await writtenOut(folder)),
      await logProbs(source),
    ];
    own.values.forEach((value, index) => {
      expect(Math.abs(value / (out.values[index] ?? 0) - 1)).toBeLessThan(1e-5);
    });
    expect(own.values).not.toEqual(original.values);
    expect(own.profile.graphHash).not.toBe(original.profile.graphHash);
    expect((await logProbs(await hubCacheOf(folder))).values).toEqual(own.values);
  });

  it("lets the gradients of an adapter through, as its numbers written out do, to 1e-5", async () => {
    const { folder } = await quantised(await randomModel(whole), bits);
    const [own, out] = [await adapterGradients(folder), await adapterGradients(await writtenOut(folder))];
    expect(own.size).toBe(5);
    for (const [name, values] of out) {
      expect(relativeError(own.get(name) ?? [], values), name).toBeLessThan(1e-5);
    }
  });

  it("keeps every weight within the documented error, in as few bytes as it says", async () => {
    const source = await randomModel(whole);
    const { folder, summary } = await quantised(source, bits);
    const name = "model.layers.1.mlp.down_proj.weight";
    const [before, after] = [join(source, "model.safetensors"), join(folder, "model.safetensors")];
    const slice = async (path: string, { offset, bytes }: { offset: number; bytes: number }) =>
      (await readFile(path)).subarray(offset, offset + bytes);
    const values = decodeFloats("F32", await slice(before, (await read(before)).get(name)!));
    const matrix = (await readModelFolder(folder)).quantised.get(name)!;
    const scales = decodeFloats("F32", await slice(after, matrix.scales));
    const meant = dequantise(await slice(after, matrix.codes), scales, matrix);
    values.forEach((value, index) => {
      const start = index - (index % 32);
      const largest = Math.max(...values.subarray(start, start + 32).map(Math.abs));
      expect(Math.abs(value - (meant[index] ?? Number.NaN))).toBeLessThanOrEqual(errorMax(matrix) * largest);
    });
    const written = (await readFile(after)).length;
    expect(written - summary.bytesAfter).toBeLessThan(8192);
  });
});

describe.each(familyCases)("a folder of %s", (name) => {
  it("quantised, in 4 or 8 bits, gives logits and gradients of its numbers written out, to 1e-5", async () => {
    const source = await randomFamily(name);
    const linears = linearsOf((await readModelFolder(source)).config);
    const bits = familyCases.indexOf(name) % 2 === 0 ? 4 : 8;
    const { folder, summary } = await quantised(source, bits);
    expect(summary).toMatchObject({ matricesQuantised: linears.length, matricesKept: 0 });
    const out = await writtenOut(folder);
    const requests = asked.slice(0, 4).map(({ promptTokenIds, answerTokenIds }) => ({
      promptTokenIds: promptTokenIds.map((id) => id % 331),
      answerTokenIds,
    }));
    const [own, expected] = [await logProbs(folder, requests), await logProbs(out, requests)];
    own.values.forEach((value, index) => {
      expect(Math.abs(value / expected.values[index]! - 1)).toBeLessThan(1e-5);
    });
    expect(own.values).not.toEqual((await logProbs(source, requests)).values);
    const modules = linears.map((linear) => linear.name);
    const [given, wanted] = [await adapterGradients(folder, modules), await adapterGradients(out, modules)];
    expect(given.size).toBe(1 + 2 * modules.length);
    for (const [key, values] of wanted) {
      expect(relativeError(given.get(key) ?? [], values), key).toBeLessThan(1e-5);
    }
  });
});

describe("quantising a folder", () => {
  it("leaves matrices whose rows are not whole blocks", async () => {
    const { folder, summary } = await quantised(await randomModel(), 4);
    expect(summary).toMatchObject({ matricesQuantised: 12, matricesKept: 2 });
    expect((await logProbs(folder)).values.every(Number.isFinite)).toBe(true);
  });

  it("refuses a target with files in it, a source that is quantised or links out of its folder, and weights that are no numbers", async () => {
    const source = await randomModel(whole);
    await expect(quantiseFolder(source, source, { bits: 4 })).rejects.toMatchObject({
      code: "model-folder-exists",
    });
    const outside = join(await temporaryFolder(), "secret.txt");
    await writeFile(outside, "not of this model");
    await symlink(outside, join(source, "special_tokens_map.json"));
    await expect(quantised(source, 4)).rejects.toMatchObject({ code: "model-path-escape" });
    await rm(join(source, "special_tokens_map.json"));
    const { folder } = await quantised(source, 4);
    await expect(quantised(folder, 4)).rejects.toMatchObject({ code: "model-file-invalid" });
    const path = join(source, "model.safetensors");
    const bytes = await readFile(path);
    const tensor = "model.layers.0.self_attn.q_proj.weight";
    bytes.fill(
      0xff,
      (await read(path)).get(tensor)?.offset,
      ((await read(path)).get(tensor)?.offset ?? 0) + 4,
    );
    await writeFile(path, bytes);
    await expect(quantised(source, 8)).rejects.toMatchObject({ code: "weight-file-invalid", tensor });
  });
});

describe("a quantised folder", () => {
  it("is refused when its config says otherwise than its tensors, or its matrices have other sizes", async () => {
    const { folder } = await quantised(await randomModel(whole), 4);
    const config = { quant_method: "tributary-blocks", bits: 4, block_size: 32 };
    const refusals = [
      [{ quantization_config: { ...config, bits: 8 } }, "weight-file-invalid"],
      [{ quantization_config: { ...config, block_size: 64 } }, "weight-file-invalid"],
      [{ quantization_config: null }, "weight-mismatch"],
      [{ quantization_config: { quant_method: "awq" } }, "model-config-unsupported"],
      [{ quantization_config: config, intermediate_size: 672 }, "weight-mismatch"],
    ] as const;
    for (const [changes, code] of refusals) {
      await editConfig(folder, changes);
      await expect(openModel(folder), code).rejects.toMatchObject({ code });
      await editConfig(folder, { quantization_config: config, ...whole });
    }
    await (await openModel(folder)).close();
  });
});
