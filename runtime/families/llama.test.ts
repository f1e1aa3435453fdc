import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { copyFixture, editConfig, encodeSafetensors, fixture, randomModel } from "#runtime/fixtures/folders";
import { createBatcher } from "#runtime/inference/batcher";
import { decode, prefill } from "#runtime/inference/forward";
import { logProbBatch, planBatches } from "#runtime/inference/log-prob";
import { type LoadedModel, loadModel } from "#runtime/inference/session";
import { readModelFolder } from "#runtime/weights/model-folder";
import { read } from "#runtime/weights/safetensors";

interface GoldenCase {
  folder: "tied" | "grouped";
  configOverrides: Record<string, unknown>;
  promptTokenIds: number[];
  answerTokenIds: number[];
  lastLogits: number[];
  answerLogProbs: number[];
  greedyTokenIds: number[];
}
const cases: GoldenCase[] = JSON.parse(
  await readFile(join(import.meta.dirname, "../fixtures/golden.json"), "utf8"),
);

/** Largest relative error allowed against float32 PyTorch, in the L2 norm of the logits. */
const relativeErrorMax = 1e-5;

async function load(folder: string): Promise<LoadedModel> {
  const read = await readModelFolder(folder);
  return loadModel({ folder: read.path, config: read.config, graphs: buildGraphs(read) });
}

async function loadCase({ folder, configOverrides }: GoldenCase): Promise<LoadedModel> {
  if (Object.keys(configOverrides).length === 0) return load(fixture(folder));
  const copy = await copyFixture(folder);
  await editConfig(copy, configOverrides);
  return load(copy);
}

function relativeError(given: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(given.length).toBe(expected.length);
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += ((given[index] ?? Number.NaN) - (expected[index] ?? 0)) ** 2;
    norm += (expected[index] ?? 0) ** 2;
  }
  return Math.sqrt(difference / norm);
}

const titles = cases.map((golden, index) => ({
  golden,
  title: `${index}: ${golden.folder}, ${golden.promptTokenIds.length} + ${golden.answerTokenIds.length} tokens${
    "rope_scaling" in golden.configOverrides ? ", llama3 rope" : ""
  }`,
}));

describe.each(titles)("against PyTorch, case $title", ({ golden }) => {
  it("gives the logits after the prompt", async () => {
    const { logits } = await prefill(await loadCase(golden), golden.promptTokenIds);
    expect(relativeError(logits, golden.lastLogits)).toBeLessThan(relativeErrorMax);
  });

  it("gives the answer's log-probability", async () => {
    const model = await loadCase(golden);
    const [batch] = planBatches(model.config, [golden]);
    const [sum = Number.NaN] = await logProbBatch(model, batch!);
    const expected = golden.answerLogProbs.reduce((total, logProb) => total + logProb, 0);
    expect(Math.abs(sum / expected - 1)).toBeLessThan(relativeErrorMax);
  });

  it("generates the same greedy tokens", async () => {
    const model = await loadCase(golden);
    const task = {
      promptTokenIds: golden.promptTokenIds,
      tokensMax: 24,
      temperature: 0,
      seed: 0n,
      stopTokenIds: [],
    };
    const listener = { emit: () => undefined, isAborted: () => false };
    const { tokenIds } = await createBatcher(model, 1).generate(task, listener);
    expect(tokenIds).toEqual(golden.greedyTokenIds);
  });
});

describe("narrow weights", () => {
  /** The fixture with its weights stored in `dtype`, or the same rounded values stored in float32. */
  async function stored(dtype: "F16" | "BF16", as: "F32" | "F16" | "BF16"): Promise<LoadedModel> {
    const folder = await copyFixture("tied");
    const path = join(folder, "model.safetensors");
    const file = await readFile(path);
    const round = { F16: Math.f16round, BF16: (value: number) => truncateToBfloat16(value) }[dtype];
    const tensors = [...(await read(path)).values()].map(({ name, shape, offset, bytes }) => {
      const values = new Float32Array(
        file.buffer.slice(file.byteOffset + offset, file.byteOffset + offset + bytes),
      );
      return [name, { shape, values: values.map(round), dtype: as }] as const;
    });
    await writeFile(path, encodeSafetensors(new Map(tensors)));
    return load(folder);
  }

  it.each(["F16", "BF16"] as const)("stored as %s count as the values they hold", async (dtype) => {
    const { logits: narrow } = await prefill(await stored(dtype, dtype), [10, 20, 30]);
    const { logits: wide } = await prefill(await stored(dtype, "F32"), [10, 20, 30]);
    const { logits: original } = await prefill(await load(fixture("tied")), [10, 20, 30]);
    expect(relativeError(narrow, wide)).toBeLessThan(1e-6);
    expect(relativeError(narrow, original)).toBeGreaterThan(1e-5);
  });

  function truncateToBfloat16(value: number): number {
    const view = new DataView(new ArrayBuffer(4));
    view.setFloat32(0, value);
    view.setUint16(2, 0);
    return view.getFloat32(0);
  }
});

describe("the decode graph", () => {
  it("gives the logits a prefill of the longer prompt gives, across a growing cache", async () => {
    const model = await load(await randomModel());
    const tokenIds = Array.from({ length: 140 }, (_, index) => (index * 37) % 1031);
    const { cache } = await prefill(model, tokenIds.slice(0, 60));
    for (let length = 60; length < tokenIds.length; length++) {
      const [stepped = []] = await decode(model, cache, [tokenIds[length] ?? 0]);
      if (length % 16 > 0 && length !== 63 && length !== 127) continue;
      const { logits } = await prefill(model, tokenIds.slice(0, length + 1));
      expect(relativeError(stepped, logits), `after ${length + 1} tokens`).toBeLessThan(relativeErrorMax);
    }
    expect(cache.capacity).toBe(192);
  });

  it("notices a wrong position, so that agreement above means something", async () => {
    const model = await load(fixture("tied"));
    const { cache } = await prefill(model, [10, 20, 30]);
    const { logits } = await prefill(model, [10, 20, 30, 40]);
    cache.lengths[0] = 4;
    cache.bias[3] = 0;
    const [stepped = []] = await decode(model, cache, [40]);
    expect(relativeError(stepped, logits)).toBeGreaterThan(1e-3);
  });
});
