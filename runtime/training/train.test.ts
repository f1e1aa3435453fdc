import { readFileSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { copyFixture, editConfig, fixture, temporaryFolder } from "#runtime/fixtures/folders";
import { readFamily, relativeError } from "#runtime/fixtures/golden-family";
import type { Adapter, LoraModule } from "#runtime/lora/adapter";
import { readModelFolder } from "#runtime/weights/model-folder";
import { quantiseFolder } from "#runtime/weights/quantise-folder";
import { adamWDefaults } from "./adamw.ts";
import { createAdapter, initialAdapter } from "./initial-adapter.ts";
import { packEpoch, packInOrder } from "./packing.ts";
import { learningRate } from "./schedule.ts";
import { type TrainOptions, train } from "./train.ts";
import { openTrainer } from "./trainer.ts";

const seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const model = fixture("grouped");
const decoder = (await readModelFolder(model)).config;
const start = initialAdapter(decoder, {
  baseModel: null,
  rank: 4,
  alpha: 8,
  isRankStabilized: false,
  targetModules: seven,
  seed: 5n,
});

/** Documents of different lengths with a pattern to learn: each token follows from the one before. */
const examples = Array.from({ length: 10 }, (_, index) => ({
  tokenIds: Array.from({ length: 9 + ((index * 5) % 17) }, (_value, at) => 20 + ((index * 7 + at * 3) % 200)),
  answerFrom: 1 + (index % 4),
}));

const options: TrainOptions = {
  examples,
  evaluationExamples: examples.slice(0, 3),
  schedule: { kind: "linear", peak: 3e-2, warmupSteps: 2, stepsMax: 12 },
  rowTokens: 32,
  rowCount: 2,
  runsPerStep: 2,
  seed: 3n,
  stepsPerEvaluation: 4,
};

function factors({ modules }: Adapter): Float32Array[] {
  return [...modules.values()].flatMap(({ a, b }) => [a, b]);
}

describe("against PyTorch", () => {
  it("makes the same updates: loss, norm before clipping, learning rate and factors", async () => {
    const golden = await readFamily("llama3");
    const expected = JSON.parse(
      readFileSync(join(import.meta.dirname, "../fixtures/golden-training.json"), "utf8"),
    );
    const modules = golden.modules.map(({ name }): [string, LoraModule] => {
      const [a, b] = [golden.tensors.get(`${name}.a`)!, golden.tensors.get(`${name}.b`)!];
      return [name, { rank: 2, alpha: 3, inSize: a.length / 2, outSize: b.length / 2, a, b }];
    });
    const adapter = { ...start, rank: 2, alpha: 3, modules: new Map(modules) };
    const trainer = await openTrainer(golden.folder, adapter, {
      optimizer: { ...adamWDefaults, weightDecay: 0.01 },
      gradientNormMax: 0.5,
    });
    const rows = [golden.tokenIds.slice(0, golden.tokens), golden.tokenIds.slice(golden.tokens)];
    const documents = rows.map((tokenIds, row) => ({ tokenIds, answerFrom: row === 0 ? 4 : 7 }));
    const batches = packInOrder(documents, { rowTokens: golden.tokens, rowCount: 2 });
    const schedule = { kind: "cosine", peak: 5e-3, warmupSteps: 3, stepsMax: 12 } as const;
    for (let step = 0; step < 12; step++) {
      const rate = learningRate(schedule, step);
      const { loss, gradientNorm } = await trainer.step(batches, rate);
      expect(rate).toBeCloseTo(expected.learningRates[step], 12);
      expect(Math.abs(loss / expected.losses[step] - 1), `loss ${step}`).toBeLessThan(2e-5);
      expect(Math.abs(gradientNorm / expected.gradientNorms[step] - 1), `norm ${step}`).toBeLessThan(1e-4);
    }
    const { a, b } = trainer.adapter().modules.get("model.layers.1.mlp.down_proj")!;
    expect(relativeError(a, expected.factors["model.layers.1.mlp.down_proj.a"])).toBeLessThan(1e-4);
    expect(relativeError(b, expected.factors["model.layers.1.mlp.down_proj.b"])).toBeLessThan(1e-4);
  });
});

describe("training", () => {
  it("lowers the loss, and does the same again to the bit", async () => {
    const first = await train(model, start, options);
    expect(first.finishReason).toBe("steps");
    expect(first.losses.at(-1)).toBeLessThan(0.8 * first.losses[0]!);
    expect(first.evaluations.map(({ step }) => step)).toEqual([4, 8, 12]);
    const second = await train(model, start, options);
    expect(second.losses).toEqual(first.losses);
    expect(factors(second.adapter)).toEqual(factors(first.adapter));
  });

  it.each([4, 8] as const)("learns over a base of %i-bit weights", async (bits) => {
    const quantised = join(await temporaryFolder(), "quantised");
    await quantiseFolder(join(import.meta.dirname, "../models/quote"), quantised, { bits });
    const config = (await readModelFolder(quantised)).config;
    const settings = { baseModel: null, rank: 4, alpha: 8, isRankStabilized: false, seed: 1n };
    const adapter = initialAdapter(config, { ...settings, targetModules: ["q_proj", "down_proj"] });
    const { losses } = await train(quantised, adapter, {
      ...options,
      evaluationExamples: [],
      schedule: { kind: "constant", peak: 1e-2, warmupSteps: 0, stepsMax: 8 },
    });
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
  });

  it("resumes from a checkpoint to the same losses and factors, to the bit", async () => {
    const whole = await train(model, start, options);
    const checkpointFolder = await temporaryFolder();
    const abort = new AbortController();
    const stopped = await train(model, start, {
      ...options,
      checkpointFolder,
      signal: abort.signal,
      onStep: ({ step }) => step === 5 && abort.abort(),
    });
    expect(stopped).toMatchObject({ finishReason: "aborted", steps: 6 });
    const resumed = await train(model, start, { ...options, checkpointFolder });
    expect(resumed.losses).toEqual(whole.losses);
    expect(resumed.evaluations).toEqual(whole.evaluations);
    expect(factors(resumed.adapter)).toEqual(factors(whole.adapter));
    expect((await readdir(checkpointFolder)).toSorted()).toEqual(["checkpoint.json", "state-12.safetensors"]);
  });

  it("refuses a checkpoint of other examples, and a damaged one", async () => {
    const checkpointFolder = await temporaryFolder();
    const short = { ...options, schedule: { ...options.schedule, stepsMax: 1 }, checkpointFolder };
    await train(model, start, short);
    await expect(train(model, start, { ...short, examples: examples.slice(1) })).rejects.toMatchObject({
      code: "checkpoint-mismatch",
    });
    const path = join(checkpointFolder, "checkpoint.json");
    const kept = await readFile(path, "utf8");
    await writeFile(path, kept.slice(0, -9));
    await expect(train(model, start, short)).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await writeFile(path, kept.replace('"steps":1', '"steps":2'));
    await expect(train(model, start, short)).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await writeFile(path, kept);
    const tensors = join(checkpointFolder, "state-1.safetensors");
    const bytes = await readFile(tensors);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(tensors, bytes);
    await expect(train(model, start, short)).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await rm(tensors);
    await expect(train(model, start, short)).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  it("refuses a checkpoint of another graph", async () => {
    const checkpointFolder = await temporaryFolder();
    const short = { ...options, schedule: { ...options.schedule, stepsMax: 1 }, checkpointFolder };
    await train(model, start, short);
    const other = await copyFixture("grouped");
    const epsilon = { rms_norm_eps: 3e-5 };
    await editConfig(other, epsilon);
    await expect(train(other, start, short)).rejects.toMatchObject({ code: "checkpoint-mismatch" });
    const folder = await readModelFolder(model);
    const settings = { optimizer: adamWDefaults, gradientNormMax: 1 };
    const same = await openTrainer(await readModelFolder(await copyFixture("grouped")), start, settings);
    const changed = await openTrainer(await readModelFolder(other), start, settings);
    const { graphs } = await openTrainer(folder, start, settings);
    expect(same.graphs).toEqual(graphs);
    expect(changed.graphs.train).not.toEqual(graphs.train);
  });

  it("learns with running means of 8 bits as with 32, and resumes from them to the bit", async () => {
    const optimizer = { ...adamWDefaults, stateBits: 8 } as const;
    const longer = { ...options, schedule: { ...options.schedule, stepsMax: 40 } };
    const full = await train(model, start, longer);
    const whole = await train(model, start, { ...longer, optimizer });
    expect(whole.losses).not.toEqual(full.losses);
    whole.losses.forEach((loss, step) => {
      expect(Math.abs(loss / full.losses[step]! - 1), `step ${step}`).toBeLessThan(0.03);
    });
    const checkpointFolder = await temporaryFolder();
    const abort = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 16 && abort.abort();
    const part = { ...longer, optimizer, checkpointFolder };
    await train(model, start, { ...part, signal: abort.signal, onStep });
    await expect(train(model, start, { ...longer, checkpointFolder })).rejects.toMatchObject({
      code: "checkpoint-mismatch",
    });
    const resumed = await train(model, start, part);
    expect(resumed.losses).toEqual(whole.losses);
    expect(factors(resumed.adapter)).toEqual(factors(whole.adapter));
  });

  it("stops early when the evaluation loss no longer falls", async () => {
    const still = {
      ...options,
      schedule: { ...options.schedule, peak: 0 },
      stepsPerEvaluation: 1,
      patience: 2,
    };
    const { finishReason, steps } = await train(model, start, still);
    expect({ finishReason, steps }).toEqual({ finishReason: "patience", steps: 3 });
  });

  /** Other patterns than those it learns: its opinion of them gets better, then worse. */
  const overfitting: TrainOptions = {
    ...options,
    evaluationExamples: examples.map(({ tokenIds, answerFrom }) => ({
      tokenIds: tokenIds.map((id, at) => 20 + ((id + at * at) % 200)),
      answerFrom,
    })),
    schedule: { ...options.schedule, peak: 5e-2, stepsMax: 24 },
    stepsPerEvaluation: 2,
    patience: 4,
  };

  it("gives the best of the evaluated adapters where it stops for patience, resumed or not", async () => {
    const whole = await train(model, start, overfitting);
    const lowest = whole.evaluations.toSorted((x, y) => x.loss - y.loss || x.step - y.step)[0]!;
    expect(whole).toMatchObject({ finishReason: "patience", adapterSteps: lowest.step });
    expect(whole.steps).toBe(lowest.step + 8);
    const { examples: _, evaluationExamples = [], ...size } = overfitting;
    const judge = await openTrainer(await readModelFolder(model), whole.adapter, {
      ...{ optimizer: adamWDefaults, gradientNormMax: 1 },
    });
    expect(await judge.evaluate(packInOrder(evaluationExamples, size))).toBe(lowest.loss);
    const checkpointFolder = await temporaryFolder();
    const abort = new AbortController();
    const stopped = await train(model, start, {
      ...{ ...overfitting, checkpointFolder, signal: abort.signal },
      onStep: ({ step }) => step === lowest.step + 2 && abort.abort(),
    });
    expect(stopped).toMatchObject({ finishReason: "aborted", adapterSteps: lowest.step });
    const resumed = await train(model, start, { ...overfitting, checkpointFolder });
    expect(resumed.evaluations).toEqual(whole.evaluations);
    expect(factors(resumed.adapter)).toEqual(factors(whole.adapter));
    const { patience: __, ...patient } = overfitting;
    const last = await train(model, start, patient);
    expect([last.finishReason, last.adapterSteps]).toEqual(["steps", 24]);
    expect(factors(last.adapter)).not.toEqual(factors(whole.adapter));
  });

  it("tells by which graphs, weights and machine it was computed", async () => {
    const short = { ...options, schedule: { ...options.schedule, stepsMax: 1 } };
    const { profile } = await train(model, start, short);
    const again = await train(await copyFixture("grouped"), start, short);
    expect(again.profile).toEqual(profile);
    expect(profile).toMatchObject({ provider: "cpu", timeBlockTokens: 32 });
    expect(Object.keys(profile.weightHashes)).toEqual(["model.safetensors"]);
    const other = await copyFixture("grouped");
    await editConfig(other, { rms_norm_eps: 3e-5 });
    expect((await train(other, start, short)).profile.graphHash).not.toBe(profile.graphHash);
  });

  it.each([
    [{ examples: [{ tokenIds: new Array<number>(33).fill(1), answerFrom: 1 }] }, { code: "example-invalid" }],
    [{ examples: [{ tokenIds: [1, 2], answerFrom: 2 }] }, { code: "example-invalid" }],
    [
      { examples: [options.examples[0], { tokenIds: [1, 300], answerFrom: 1 }] },
      { code: "example-invalid", list: "examples", index: 1 },
    ],
    [
      { evaluationExamples: [options.examples[0], { tokenIds: [1, 2], answerFrom: 2 }] },
      {
        code: "example-invalid",
        list: "evaluationExamples",
        index: 1,
        message: "Evaluation example 1 has nothing to learn from token 2 of 2.",
      },
    ],
    [{ examples: [] }, { code: "request-invalid", field: "examples" }],
    [{ examples: null }, { code: "request-invalid", field: "examples" }],
    [{ evaluationExamples: "x" }, { code: "request-invalid", field: "evaluationExamples" }],
    [{ schedule: null }, { field: "schedule" }],
    [{ optimizer: null }, { field: "optimizer" }],
    [{ checkpointFolder: "/nonexistent/checkpoints" }, { field: "checkpointFolder" }],
    [{ checkpointFolder: import.meta.filename }, { field: "checkpointFolder" }],
    [{ waypointSteps: 5 }, { field: "waypointSteps" }],
    [{ onStep: "x" }, { field: "onStep" }],
    [{ signal: {} }, { field: "signal" }],
    [{ rowTokens: 0 }, { code: "request-invalid", field: "rowTokens" }],
    [{ patience: 0.5 }, { code: "request-invalid", field: "patience" }],
    [{ patience: 2, evaluationExamples: [] }, { field: "patience" }],
    [{ schedule: { ...options.schedule, stepsMax: 0 } }, { field: "stepsMax" }],
    [{ schedule: { ...options.schedule, kind: "cosin" } }, { field: "schedule.kind" }],
    [{ schedule: { ...options.schedule, peak: Number.NaN } }, { field: "schedule.peak" }],
    [{ schedule: { ...options.schedule, peak: -1e-3 } }, { field: "schedule.peak" }],
    [{ schedule: { ...options.schedule, peak: "1e-3" } }, { field: "schedule.peak" }],
    [{ schedule: { ...options.schedule, warmupSteps: -1 } }, { field: "schedule.warmupSteps" }],
    [{ gradientNormMax: -1 }, { field: "gradientNormMax" }],
    [{ gradientNormMax: 0 }, { field: "gradientNormMax" }],
    [{ gradientNormMax: Number.NaN }, { field: "gradientNormMax" }],
    [{ optimizer: { ...adamWDefaults, beta2: 1 } }, { field: "optimizer.beta2" }],
    [{ optimizer: { ...adamWDefaults, epsilon: 0 } }, { field: "optimizer.epsilon" }],
    [{ optimizer: { ...adamWDefaults, weightDecay: -0.1 } }, { field: "optimizer.weightDecay" }],
    [{ optimizer: { ...adamWDefaults, stateBits: 4 } }, { field: "optimizer.stateBits" }],
    [{ rowTokens: 2 ** 16, rowCount: 2 ** 16 }, { field: "rowCount" }],
    [{ seed: -1n }, { field: "seed" }],
    [{ runBytesMax: Number.NaN }, { field: "runBytesMax" }],
    [{ rowTokens: 2 ** 12, rowCount: 10, runBytesMax: 2 ** 30 }, { code: "memory-exceeded" }],
    [{ runBytesMax: 2 ** 16 }, { code: "memory-exceeded" }],
  ])("refuses %o", async (changes, error) => {
    const given = { ...options, ...changes } as TrainOptions;
    await expect(train(model, start, given)).rejects.toMatchObject({ code: "request-invalid", ...error });
  });

  it.each([
    [{ rank: 1e9 }, { code: "adapter-invalid", key: "rank" }],
    [{ rank: 0 }, { code: "adapter-invalid", key: "rank" }],
    [{ rank: 1.5 }, { code: "adapter-invalid", key: "rank" }],
    [{ rank: "4" }, { code: "adapter-invalid", key: "rank" }],
    [{ alpha: Number.NaN }, { code: "adapter-invalid", key: "alpha" }],
    [{ seed: 1 }, { code: "adapter-invalid", key: "seed" }],
    [{ targetModules: [] }, { code: "adapter-invalid", key: "targetModules" }],
    [{ targetModules: "q_proj" }, { code: "adapter-invalid", key: "targetModules" }],
    [{ targetModules: [undefined] }, { code: "adapter-mismatch", key: "undefined" }],
    [{ targetModules: new Array(1) }, { code: "adapter-mismatch" }],
    [{ targetModules: ["q_proj", "c_attn"] }, { code: "adapter-mismatch", key: "c_attn" }],
  ])("makes no adapter of %o", async (changes, error) => {
    const settings = { rank: 4, alpha: 8, targetModules: ["q_proj"], seed: 1n, ...changes };
    await expect(createAdapter(model, settings as never)).rejects.toMatchObject(error);
  });

  it("makes no adapter that no memory holds", () => {
    const wide = { ...decoder, layers: new Array(200).fill(decoder.layers[0]) };
    const settings = { ...start, rank: 65_536, targetModules: seven, seed: 1n };
    expect(() => initialAdapter(wide, settings)).toThrow(
      expect.objectContaining({ code: "adapter-too-large" }),
    );
  });

  it("refuses an adapter of another model, naming the module", async () => {
    const [name, module] = [...start.modules][0]!;
    const modules = new Map([[name, { ...module, inSize: 20, a: new Float32Array(80) }]]);
    await expect(train(model, { ...start, modules }, options)).rejects.toMatchObject({
      code: "adapter-mismatch",
      key: name,
    });
    expect(() => initialAdapter(decoder, { ...start, seed: 1n, targetModules: ["c_attn"] })).toThrow(
      /c_attn/,
    );
  });
});

describe("packing", () => {
  it("takes every example once, in an order of seed and epoch", () => {
    const size = { rowTokens: 32, rowCount: 2 };
    const count = (epoch: number) =>
      packEpoch(examples, size, 1n, epoch).flatMap(({ targetIds }) => targetIds);
    const learned = examples.flatMap(({ tokenIds, answerFrom }) => tokenIds.slice(answerFrom));
    expect(count(0).toSorted()).toEqual(learned.toSorted());
    expect(count(0)).toEqual(count(0));
    expect(count(0)).not.toEqual(count(1));
  });

  it("keeps documents of a row apart: the loss is that of each alone", async () => {
    const trainer = await openTrainer(await readModelFolder(model), start, {
      optimizer: adamWDefaults,
      gradientNormMax: 1,
    });
    const three = examples
      .slice(0, 3)
      .map(({ tokenIds }) => ({ tokenIds: tokenIds.slice(0, 9), answerFrom: 1 }));
    const together = await trainer.evaluate(packInOrder(three, { rowTokens: 27, rowCount: 1 }));
    const alone = await trainer.evaluate(packInOrder(three, { rowTokens: 9, rowCount: 1 }));
    expect(Math.abs(together / alone - 1)).toBeLessThan(1e-6);
    const joined = [{ tokenIds: three.flatMap(({ tokenIds }) => tokenIds), answerFrom: 1 }];
    const mixed = await trainer.evaluate(packInOrder(joined, { rowTokens: 27, rowCount: 1 }));
    expect(Math.abs(mixed / alone - 1)).toBeGreaterThan(1e-3);
  });
});
