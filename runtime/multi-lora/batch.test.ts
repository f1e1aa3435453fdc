import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adaptedBuild } from "#runtime/decoder/adapted";
import { linearsOf } from "#runtime/decoder/description";
import { project, runSequences } from "#runtime/decoder/skeleton";
import { familyCases, readFamily, relativeError } from "#runtime/fixtures/golden-family";
import { pcg32 } from "#runtime/inference/sampler";
import { floats, integers, openGraph } from "#runtime/inference/session";
import type { Adapter } from "#runtime/lora/adapter";
import { create, input, output } from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import { initialAdapter } from "#runtime/training/initial-adapter";
import { adapterTargets } from "#runtime/training/trainer";
import { type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { type Batch, type BatchSequence, openBatch } from "./batch.ts";

const seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** A random adapter that changes much. */
function randomAdapter(model: ModelFolder, rank: number, targetModules: string[], seed: bigint): Adapter {
  const settings = { baseModel: null, rank, alpha: 2 * rank, isRankStabilized: rank === 5, seed };
  const adapter = initialAdapter(model.config, { ...settings, targetModules });
  const next = pcg32(seed, 99n);
  for (const { b } of adapter.modules.values()) {
    for (let at = 0; at < b.length; at++) b[at] = next() / 2 ** 32 - 0.5;
  }
  return adapter;
}

/** Logits after the last token of a sequence, with the adapter in a graph of its own. */
async function alone(model: ModelFolder, adapter: Adapter | null, tokenIds: number[]): Promise<Float32Array> {
  const graph = create("alone");
  const ids = input(graph, "tokenIds", "int64", ["B", "T"]);
  const targets = adapter ? adapterTargets(model, adapter) : new Map();
  const { build } = adaptedBuild(graph, model, targets);
  output(graph, "logits", project(build, runSequences(build, ids, { kind: "prefix" }).hidden));
  const run = await openGraph("alone", encode(graph), model.path);
  const feeds: Parameters<typeof run>[0] = { tokenIds: integers(tokenIds, [1, tokenIds.length]) };
  for (const [name, { a, b, rank, inSize, outSize }] of adapter?.modules ?? []) {
    feeds[`${name}.a`] = floats(a, [rank, inSize]);
    feeds[`${name}.b`] = floats(b, [outSize, rank]);
  }
  const { logits } = await run(feeds);
  return logits!.slice(-model.config.vocabularySize);
}

const prompt = (seed: number, length: number) =>
  Array.from({ length }, (_, at) => (seed * 101 + at * 37) % 1031);

const folder = join(import.meta.dirname, "../models/quote");
const model = await readModelFolder(folder);
const adapters = new Map([
  ["a8", randomAdapter(model, 8, seven, 1n)],
  ["b5", randomAdapter(model, 5, seven, 2n)],
  ["c16", randomAdapter(model, 16, ["q_proj", "v_proj"], 3n)],
  ["d3", randomAdapter(model, 3, ["down_proj"], 4n)],
]);

async function open(rowsMax: number, prefixBytesMax = 0): Promise<Batch> {
  const batch = await openBatch(folder, { rowsMax, adaptableModules: seven, prefixBytesMax });
  for (const [key, adapter] of adapters) batch.bank.add(key, adapter);
  return batch;
}

/** Start sequences, make three steps of all, and give the logits of each at every point. */
async function runTogether(batch: Batch, wanted: { adapter: string | null; promptTokenIds: number[] }[]) {
  const seen: Float32Array[][] = [];
  const running: BatchSequence[] = [];
  for (const { adapter, promptTokenIds } of wanted) {
    const { sequence, logits } = await batch.start(adapter, promptTokenIds);
    running.push(sequence);
    seen.push([logits]);
  }
  for (let step = 0; step < 3; step++) {
    const found = await batch.step(new Map(running.map((sequence) => [sequence, 50 + step])));
    running.forEach((sequence, index) => {
      seen[index]!.push(found.get(sequence)!);
    });
  }
  for (const sequence of running) await batch.finish(sequence);
  return seen;
}

const sequences = [
  { adapter: "a8", promptTokenIds: prompt(1, 20) },
  { adapter: null, promptTokenIds: prompt(2, 70) },
  { adapter: "b5", promptTokenIds: prompt(3, 5) },
  { adapter: "c16", promptTokenIds: prompt(4, 64) },
  { adapter: "a8", promptTokenIds: prompt(5, 33) },
  { adapter: "d3", promptTokenIds: prompt(6, 126) },
];

describe("a batch of many adapters", () => {
  it("gives each row what its adapter gives alone", async () => {
    const seen = await runTogether(await open(8), sequences);
    for (const [index, { adapter, promptTokenIds }] of sequences.entries()) {
      const own = adapter === null ? null : adapters.get(adapter)!;
      const first = await alone(model, own, promptTokenIds);
      const last = await alone(model, own, [...promptTokenIds, 50, 51, 52]);
      expect(relativeError(seen[index]![0]!, first), `prompt of row ${index}`).toBeLessThan(1e-5);
      expect(relativeError(seen[index]![3]!, last), `last step of row ${index}`).toBeLessThan(1e-5);
      if (own) expect(relativeError(first, await alone(model, null, promptTokenIds))).toBeGreaterThan(0.01);
    }
  });

  it("gives each row the same bits in any company and in batches of 1 to 6", async () => {
    const together = await runTogether(await open(8), sequences);
    for (const [index, sequence] of sequences.entries()) {
      const [own] = await runTogether(await open(1 + index), [sequence]);
      expect(own, `row ${index}`).toEqual(together[index]);
    }
    const turned = await runTogether(await open(7), sequences.toReversed());
    expect(turned.toReversed()).toEqual(together);
  });

  it("takes adapters while others run, and lets them go", async () => {
    const batch = await open(4);
    const { sequence } = await batch.start("a8", prompt(1, 9));
    const bytes = batch.bank.bytes();
    batch.bank.add("late", randomAdapter(model, 8, seven, 9n));
    expect(batch.bank.bytes()).toBeGreaterThan(bytes);
    const late = await batch.start("late", prompt(1, 9));
    const found = await batch.step(
      new Map([
        [sequence, 1],
        [late.sequence, 1],
      ]),
    );
    expect(found.get(sequence)).not.toEqual(found.get(late.sequence));
    await batch.finish(late.sequence);
    await batch.unload("late");
    expect(batch.bank.bytes()).toBe(bytes);
    await expect(batch.start("late", prompt(1, 9))).rejects.toMatchObject({ code: "adapter-unknown" });
    await batch.step(new Map([[sequence, 2]]));
  });

  it("takes calls in turn, whoever makes them at once", async () => {
    const batch = await open(2);
    const [one, two, three] = await Promise.allSettled(
      [1, 2, 3].map((seed) => batch.start("a8", prompt(seed, 9))),
    );
    expect(three).toMatchObject({ status: "rejected", reason: { code: "batch-full" } });
    expect([one?.status, two?.status]).toEqual(["fulfilled", "fulfilled"]);
    const inTurn = await open(2);
    const { sequence } = await inTurn.start("a8", prompt(1, 9));
    const [, late] = await Promise.all([
      inTurn.step(new Map([[sequence, 1]])),
      inTurn.start("b5", prompt(2, 20)),
    ]);
    await inTurn.finish(sequence);
    const found = await inTurn.step(new Map([[late.sequence, 7]]));
    const expected = await alone(model, adapters.get("b5")!, [...prompt(2, 20), 7]);
    expect(relativeError(found.get(late.sequence)!, expected)).toBeLessThan(1e-5);
  });

  it("refuses what it cannot do", async () => {
    const batch = await open(2);
    expect(() => batch.bank.add("a8", adapters.get("a8")!)).toThrow(/loaded already/);
    const wide = randomAdapter(model, 129, ["q_proj"], 1n);
    expect(() => batch.bank.add("wide", wide)).toThrow(expect.objectContaining({ key: "rank" }));
    const narrow = await openBatch(folder, { rowsMax: 2, adaptableModules: ["q_proj"] });
    expect(() => narrow.bank.add("a8", adapters.get("a8")!)).toThrow(/cannot be adapted here/);
    await expect(batch.start(null, [])).rejects.toMatchObject({ code: "context-exceeded" });
    await expect(batch.start(null, prompt(1, model.config.contextTokensMax + 1))).rejects.toMatchObject({
      code: "context-exceeded",
    });
    await batch.start(null, [1]);
    await batch.start(null, [1]);
    await expect(batch.start(null, [1])).rejects.toMatchObject({ code: "batch-full", retryable: true });
  });

  it("serves the new adapter where one was unloaded and another took its name, and unloads none in use", async () => {
    const batch = await open(2, 1_000_000);
    const promptTokenIds = prompt(3, 20);
    const first = await batch.start("a8", promptTokenIds);
    await expect(batch.unload("a8")).rejects.toMatchObject({ code: "adapter-in-use", retryable: true });
    await batch.finish(first.sequence);
    await batch.unload("a8");
    batch.bank.add("a8", adapters.get("c16")!);
    const { logits, reusedTokens } = await batch.start("a8", promptTokenIds);
    expect(reusedTokens).toBe(0);
    expect(relativeError(logits, await alone(model, adapters.get("c16")!, promptTokenIds))).toBeLessThan(
      1e-5,
    );
    expect(Object.keys(batch.bank).sort()).toEqual(["add", "bytes", "has"]);
  });

  it("refuses tokens and sizes that are none, by name", async () => {
    const refusal = (field: string) => ({ code: "request-invalid", field });
    for (const rowsMax of [0, 2.5, 257, Number.NaN]) {
      const opening = openBatch(folder, { rowsMax, adaptableModules: seven });
      await expect(opening).rejects.toMatchObject(refusal("rowsMax"));
    }
    const batch = await open(2);
    const strays = [-1, 1.5, Number.NaN, "x" as unknown as number, model.config.vocabularySize];
    for (const stray of strays) {
      await expect(batch.start(null, [1, stray])).rejects.toMatchObject(refusal("promptTokenIds"));
    }
    const { sequence } = await batch.start(null, [1]);
    for (const stray of strays) {
      await expect(batch.step(new Map([[sequence, stray]]))).rejects.toMatchObject(refusal("tokens"));
    }
    await expect(batch.step(new Map())).rejects.toMatchObject(refusal("tokens"));
    await batch.finish(sequence);
    await expect(batch.finish(sequence)).rejects.toMatchObject(refusal("sequence"));
  });
});

/** An adapter of one module whose factors are all `factor`. */
function constantAdapter(name: string, factor: number): Adapter {
  const adapter = randomAdapter(model, 8, [name], 1n);
  for (const { a, b } of adapter.modules.values()) {
    a.fill(factor);
    b.fill(factor);
  }
  return adapter;
}

describe("an adapter that overflows", () => {
  const lastLayer = `model.layers.${model.config.layers.length - 1}`;

  it("leaves the other rows as they are without it", async () => {
    const wanted = sequences.slice(0, 3);
    const alone = await runTogether(await open(4), wanted);
    const batch = await open(4);
    batch.bank.add("huge", constantAdapter(`${lastLayer}.mlp.down_proj`, 1.5e38));
    const seen = await runTogether(batch, [...wanted, { adapter: "huge", promptTokenIds: prompt(1, 9) }]);
    expect(seen[3]![3]!.every(Number.isFinite)).toBe(false);
    expect(seen.slice(0, 3)).toEqual(alone);
  });

  it("starts no sequence whose keys are no numbers", async () => {
    const batch = await open(4, 2 ** 24);
    batch.bank.add("huge", constantAdapter(`${lastLayer}.self_attn.k_proj`, 1.5e38));
    const { sequence } = await batch.start("a8", prompt(1, 20));
    await expect(batch.start("huge", prompt(1, 20))).rejects.toMatchObject({ code: "not-finite" });
    const found = await batch.step(new Map([[sequence, 1]]));
    expect(found.get(sequence)!.every(Number.isFinite)).toBe(true);
  });

  it("is refused where its scale already overflows", async () => {
    const batch = await open(2);
    const name = `${lastLayer}.self_attn.k_proj`;
    const adapter = randomAdapter(model, 8, [name], 1n);
    const modules = new Map([[name, { ...adapter.modules.get(name)!, alpha: 1e300 }]]);
    expect(() => batch.bank.add("huge", { ...adapter, modules })).toThrow(
      expect.objectContaining({ code: "adapter-invalid", key: name }),
    );
    expect(batch.bank.has("huge")).toBe(false);
  });
});

describe("prefix reuse", () => {
  it("starts where prompts part, under the same adapter only", async () => {
    const batch = await open(6, 2 ** 24);
    const shared = prompt(7, 80);
    const ends = [[...shared, 3, 4, 5], [...shared, 9], shared.slice(0, 50)];
    const first = await batch.start("a8", ends[0]!);
    expect(first.reusedTokens).toBe(0);
    const earlier = [first.sequence];
    for (const [end, reused] of [
      [ends[1]!, 80],
      [ends[2]!, 49],
    ] as const) {
      const { logits, reusedTokens, sequence } = await batch.start("a8", end);
      expect(reusedTokens).toBe(reused);
      expect(relativeError(logits, await alone(model, adapters.get("a8")!, end))).toBeLessThan(1e-5);
      const running = [...earlier, sequence];
      const stepped = await batch.step(new Map(running.map((each) => [each, 8])));
      earlier.push(sequence);
      const expected = await alone(model, adapters.get("a8")!, [...end, 8]);
      expect(relativeError(stepped.get(sequence)!, expected)).toBeLessThan(1e-5);
    }
    expect((await batch.start("b5", ends[1]!)).reusedTokens).toBe(0);
    expect((await batch.start(null, ends[1]!)).reusedTokens).toBe(0);
  });

  it("keeps no more bytes than allowed", async () => {
    const batch = await open(4, 1000);
    await batch.start(null, prompt(7, 80));
    expect((await batch.start(null, prompt(7, 81))).reusedTokens).toBe(0);
  });

  it.each(familyCases)("continues %s as if from the start", async (name) => {
    const { folder: family, tokenIds } = await readFamily(name);
    const ends = linearsOf(family.config).map((linear) => linear.name);
    const batch = await openBatch(family.path, {
      rowsMax: 2,
      adaptableModules: ends,
      prefixBytesMax: 2 ** 20,
    });
    const whole = [...tokenIds.slice(0, 20), 1, 2, 3];
    await batch.start(null, tokenIds.slice(0, 18));
    const { logits, reusedTokens } = await batch.start(null, whole);
    expect(reusedTokens).toBe(18);
    expect(relativeError(logits, await alone(family, null, whole))).toBeLessThan(1e-5);
  });
});
