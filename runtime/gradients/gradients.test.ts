import { createHash } from "node:crypto";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { expect, it } from "vitest";
import { copyFixture, fixture, randomModel } from "#runtime/fixtures/folders";
import { relativeError } from "#runtime/fixtures/golden-family";
import { floats, integers } from "#runtime/inference/session";
import { encode } from "#runtime/onnx/model";
import { adamWDefaults } from "#runtime/training/adamw";
import { createAdapter, initialAdapter } from "#runtime/training/initial-adapter";
import { packInOrder } from "#runtime/training/packing";
import { runBytes } from "#runtime/training/run-memory";
import { trainGraph } from "#runtime/training/train-graph";
import { adapterTargets, openTrainer } from "#runtime/training/trainer";
import { readModelFolder } from "#runtime/weights/model-folder";
import { gradientGraph, type Reduction } from "./gradient-graph.ts";
import { openGradients, type Queries } from "./gradients.ts";

const folder = fixture("tied");
const model = await readModelFolder(folder);
const start = initialAdapter(model.config, {
  baseModel: null,
  rank: 3,
  alpha: 6,
  isRankStabilized: true,
  targetModules: ["q_proj", "v_proj", "down_proj"],
  seed: 2n,
});
const lengths = [9, 80, 30, 64, 65, 12, 100, 31];
const examples = lengths.map((length, index) => ({
  tokenIds: Array.from({ length }, (_, at) => (index * 31 + at * 17) % 300),
  answerFrom: 1 + (index % 5),
}));

/** The adapter after some updates, so that B is not zero. */
async function trained() {
  const trainer = await openTrainer(model, start, { optimizer: adamWDefaults, gradientNormMax: 1 });
  for (let step = 0; step < 3; step++) {
    await trainer.step(packInOrder(examples, { rowTokens: 128, rowCount: 4 }), 1e-2);
  }
  return trainer.adapter();
}

it("gives each example the same bits alone, in any company, in order", async () => {
  const gradients = await openGradients(folder, await trained(), { kind: "full" });
  const together = await gradients.of(examples);
  expect(together.map(({ loss }) => loss > 0)).toEqual(examples.map(() => true));
  for (const [index, example] of examples.entries()) {
    const [alone] = await gradients.of([example]);
    expect(alone, `example ${index}`).toEqual(together[index]);
  }
});

it("multiplies every example's gradient with queries", async () => {
  const adapter = await trained();
  const full = await (await openGradients(folder, adapter, { kind: "full" })).of(examples);
  const queries = full.slice(0, 2);
  const names = [...full[0]!.factors.keys()];
  const stacked = names.map((name) => {
    const rows = queries.flatMap(({ factors }) => [...factors.get(name)!]);
    return [name, Float32Array.from(rows)] as const;
  });
  const products = await openGradients(folder, adapter, { kind: "products" });
  const found = await products.of(examples, { count: 2, factors: new Map(stacked) });
  for (const name of names) {
    const expected = full.flatMap(({ factors }) =>
      queries.map((query) =>
        factors.get(name)!.reduce((sum, value, at) => sum + value * query.factors.get(name)![at]!, 0),
      ),
    );
    const given = found.flatMap(({ factors }) => [...factors.get(name)!]);
    expect(relativeError(given, expected), name).toBeLessThan(1e-5);
  }
});

it("refuses an example that does not fit the model", async () => {
  const gradients = await openGradients(folder, start, { kind: "full" });
  await expect(gradients.of([{ tokenIds: [300, 1], answerFrom: 1 }])).rejects.toMatchObject({
    code: "example-invalid",
  });
});

it.each([
  [null, "reduction"],
  [{ kind: "half" }, "reduction.kind"],
  [{}, "reduction.kind"],
  [{ kind: "projected", rows: 0, columns: 1, seed: 1n }, "reduction.rows"],
  [{ kind: "projected", rows: -1, columns: 1, seed: 1n }, "reduction.rows"],
  [{ kind: "projected", rows: 1, columns: 1.5, seed: 1n }, "reduction.columns"],
  [{ kind: "projected", rows: 1, columns: Number.NaN, seed: 1n }, "reduction.columns"],
  [{ kind: "projected", rows: 1, columns: 2 ** 40, seed: 1n }, "reduction.columns"],
  [{ kind: "projected", rows: 1, columns: 1, seed: 1 }, "reduction.seed"],
  [{ kind: "projected", rows: 1, columns: 1, seed: -1n }, "reduction.seed"],
  [{ kind: "projected", rows: 1, columns: 1 }, "reduction.seed"],
])("refuses the reduction %o", async (reduction, field) => {
  await expect(openGradients(folder, start, reduction as Reduction)).rejects.toMatchObject({
    ...{ code: "request-invalid", field },
  });
});

it("refuses queries that are missing, none of its business, or of another size", async () => {
  await using full = await openGradients(folder, start, { kind: "full" });
  await using products = await openGradients(folder, start, { kind: "products" });
  const [name] = [...start.modules.keys()];
  const factors = new Map(
    [...start.modules].flatMap(([module, { a, b }]) => [
      [`${module}.a`, a] as const,
      [`${module}.b`, b] as const,
    ]),
  );
  const given = examples.slice(0, 1);
  expect(await products.of(given, { count: 1, factors })).toHaveLength(1);
  const refusals = [
    [full.of(given, { count: 1, factors }), "queries"],
    [products.of(given), "queries"],
    [products.of(given, { count: 1 } as Queries), "queries"],
    [products.of(given, { count: 0, factors }), "queries.count"],
    [products.of(given, { count: 1.5, factors }), "queries.count"],
    [products.of(given, { count: 2, factors }), `queries.factors ${name}.a`],
    [products.of(given, { count: 1, factors: new Map() }), `queries.factors ${name}.a`],
  ] as const;
  for (const [refused, field] of refusals) {
    await expect(refused, field).rejects.toMatchObject({ code: "request-invalid", field });
  }
});

it("refuses an example that needs more memory than it may take, and takes fewer at a time than have room", async () => {
  const adapter = await trained();
  await using free = await openGradients(folder, adapter, { kind: "full" });
  const needed = Math.max(
    ...examples.map(({ tokenIds, answerFrom }) => {
      const learned = tokenIds.length - answerFrom;
      return runBytes(model.config, { rows: 1, tokens: Math.ceil(tokenIds.length / 16) * 16, learned });
    }),
  );
  await using narrow = await openGradients(folder, adapter, { kind: "full" }, { runBytesMax: needed });
  expect(await narrow.of(examples)).toEqual(await free.of(examples));
  await using short = await openGradients(folder, adapter, { kind: "full" }, { runBytesMax: needed - 1 });
  await expect(short.of(examples)).rejects.toMatchObject({ code: "memory-exceeded" });
  const refused = openGradients(folder, adapter, { kind: "full" }, { runBytesMax: Number.NaN });
  await expect(refused).rejects.toMatchObject({ code: "request-invalid", field: "runBytesMax" });
});

it("tells by which graph, weights and machine it computes", async () => {
  await using full = await openGradients(folder, start, { kind: "full" });
  await using same = await openGradients(await copyFixture("tied"), await trained(), { kind: "full" });
  await using other = await openGradients(folder, start, { kind: "products" });
  const { hash, provider, timeBlockTokens } = await full.profile();
  expect({ provider, timeBlockTokens }).toEqual({ provider: "cpu", timeBlockTokens: 16 });
  expect((await same.profile()).hash).toBe(hash);
  expect((await other.profile()).hash).not.toBe(hash);
});

it("gives its memory back when it is closed, and takes no calls then", async () => {
  const sizes = { hidden_size: 512, intermediate_size: 2048, head_dim: 64, num_hidden_layers: 1 };
  const large = await randomModel(sizes);
  const adapter = await createAdapter(large, { rank: 2, alpha: 2, targetModules: ["q_proj"], seed: 1n });
  const used = [];
  for (let round = 0; round < 10; round++) {
    const gradients = await openGradients(large, adapter, { kind: "full" });
    await gradients.of(examples.slice(0, 1));
    await gradients.close();
    await gradients.close();
    await expect(gradients.of(examples.slice(0, 1))).rejects.toMatchObject({ code: "model-closed" });
    used.push(process.memoryUsage().rss);
  }
  const sessionBytes = 16 * 2 ** 20; // The packed matrices alone.
  expect(used.at(-1)! - used[3]!).toBeLessThan(4 * sessionBytes);
});

it("computes the same bits with 1 to 4 threads in a session, losses and gradients alike", async () => {
  const quote = join(import.meta.dirname, "../models/quote");
  const read = await readModelFolder(quote);
  const adapter = initialAdapter(read.config, { ...start, targetModules: ["q_proj", "down_proj"], seed: 4n });
  const targets = adapterTargets(read, adapter);
  const shape = [3, 64];
  const tokenIds = Array.from({ length: 192 }, (_, index) => (index * 37) % 4096);
  const places = tokenIds.map((_, index) => index % 64);
  const feeds: Record<string, ort.Tensor> = {
    tokenIds: integers(tokenIds, shape),
    targetRows: integers([5, 70, 150], [3]),
    targetIds: integers([9, 8, 7], [3]),
    targetWeights: floats(Float32Array.of(1, 1, 0.5), [3]),
  };
  for (const [name, { a, rank, inSize, outSize }] of adapter.modules) {
    feeds[`${name}.a`] = floats(a, [rank, inSize]);
    feeds[`${name}.b`] = floats(new Float32Array(outSize * rank).fill(0.01), [outSize, rank]);
  }
  const packed = {
    positions: integers(places, shape),
    segments: integers(
      places.map(() => 1),
      shape,
    ),
  };
  for (const [graph, more] of [
    [gradientGraph(read, targets, { kind: "full" }), {}],
    [trainGraph(read, targets), packed],
  ] as const) {
    const bits: string[] = [];
    for (const intraOpNumThreads of [1, 2, 3, 4]) {
      const session = await ort.InferenceSession.create(encode(graph), {
        intraOpNumThreads,
        extra: { session: { model_external_initializers_file_folder_path: read.path } },
      });
      const outputs = await session.run({ ...feeds, ...more });
      const hash = createHash("sha256");
      for (const { data } of Object.values(outputs)) hash.update(data as Float32Array);
      bits.push(hash.digest("hex"));
    }
    expect(new Set(bits).size, graph.name).toBe(1);
  }
});
