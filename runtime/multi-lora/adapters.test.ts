import { join as joinPath } from "node:path";
import { describe, expect, it } from "vitest";
import { adaptedBuild } from "#runtime/decoder/adapted";
import { linearsOf } from "#runtime/decoder/description";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { project, runSequences } from "#runtime/decoder/skeleton";
import { familyCases, readFamily, relativeError } from "#runtime/fixtures/golden-family";
import { cacheShapeOf, decode, prefill } from "#runtime/inference/forward";
import { create, join } from "#runtime/inference/kv-cache";
import { pcg32 } from "#runtime/inference/sampler";
import { floats, integers, type LoadedModel, loadModel, openGraph } from "#runtime/inference/session";
import { type Adapter, isTarget } from "#runtime/lora/adapter";
import * as graphs from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import { initialAdapter } from "#runtime/training/initial-adapter";
import { adapterTargets } from "#runtime/training/trainer";
import { type ModelFolder, readModelFolder } from "#runtime/weights/model-folder";
import { createAdapterBank, type SharedAdapter } from "./adapter-bank.ts";
import { createPrefixCache } from "./prefix-cache.ts";
import { slotsBuild } from "./slots-build.ts";

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
  const graph = graphs.create("alone");
  const ids = graphs.input(graph, "tokenIds", "int64", ["B", "T"]);
  const targets = adapter ? adapterTargets(model, adapter) : new Map();
  const { build } = adaptedBuild(graph, model, targets);
  graphs.output(graph, "logits", project(build, runSequences(build, ids, { kind: "prefix" }).hidden));
  const { run } = await openGraph("alone", encode(graph), model.path);
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

const folder = joinPath(import.meta.dirname, "../models/quote");
const model = await readModelFolder(folder);
const adapters = new Map([
  ["a8", randomAdapter(model, 8, seven, 1n)],
  ["b5", randomAdapter(model, 5, seven, 2n)],
  ["c16", randomAdapter(model, 16, ["q_proj", "v_proj"], 3n)],
  ["d3", randomAdapter(model, 3, ["down_proj"], 4n)],
]);
const loaded = load(model, seven);
const linears = linearsOf(model.config);
const bank = createAdapterBank(linears, 2 ** 30);
for (const [name, adapter] of adapters) bank.add(name, "0x", adapter);
const shared = (name: string | null) => (name === null ? null : bank.get(name).shared);

/** A model in this thread whose `modules` can be adapted, with every graph. */
function load(folder: ModelFolder, modules: readonly string[]): LoadedModel {
  const adaptable = linearsOf(folder.config).filter(({ name }) => isTarget(modules, name));
  const names = new Set(adaptable.map(({ name }) => name));
  const makeBuild = slotsBuild(({ name }) => names.has(name));
  const graphs = buildGraphs(folder, { makeBuild, canExtend: true });
  return loadModel({ folder: folder.path, config: folder.config, graphs, linears: adaptable });
}

/** Run prompts, make three steps of all in a cache of `rowsMax` rows, and give the logits of each at every point. */
async function runTogether(
  rowsMax: number,
  wanted: readonly { adapter: SharedAdapter | null; promptTokenIds: number[] }[],
): Promise<Float32Array[][]> {
  const cache = create(cacheShapeOf(loaded), Math.max(rowsMax, loaded.rowsMin));
  const seen: Float32Array[][] = [];
  for (const { adapter, promptTokenIds } of wanted) {
    const first = await prefill(loaded, promptTokenIds, adapter);
    join(cache, first.cache);
    seen.push([first.logits]);
  }
  const followed = wanted.map(({ adapter }) => adapter);
  for (let step = 0; step < 3; step++) {
    const found = await decode(loaded, cache, new Array<number>(wanted.length).fill(50 + step), followed);
    found.forEach((logits, row) => {
      seen[row]!.push(logits.slice());
    });
  }
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
const rows = sequences.map(({ adapter, promptTokenIds }) => ({ adapter: shared(adapter), promptTokenIds }));

describe("rows of many adapters", () => {
  it("have each what its adapter gives alone", async () => {
    const seen = await runTogether(8, rows);
    for (const [index, { adapter, promptTokenIds }] of sequences.entries()) {
      const own = adapter === null ? null : adapters.get(adapter)!;
      const first = await alone(model, own, promptTokenIds);
      const last = await alone(model, own, [...promptTokenIds, 50, 51, 52]);
      expect(relativeError(seen[index]![0]!, first), `prompt of row ${index}`).toBeLessThan(1e-5);
      expect(relativeError(seen[index]![3]!, last), `last step of row ${index}`).toBeLessThan(1e-5);
      if (own) expect(relativeError(first, await alone(model, null, promptTokenIds))).toBeGreaterThan(0.01);
    }
  });

  it("have the same bits in any company and in batches of 1 to 6", async () => {
    const together = await runTogether(8, rows);
    for (const [index, row] of rows.entries()) {
      expect(await runTogether(1 + index, [row]), `row ${index}`).toEqual([together[index]]);
    }
    const turned = await runTogether(7, rows.toReversed());
    expect(turned.toReversed()).toEqual(together);
  });
});

describe("a bank", () => {
  it("gives back the room of what is removed, and never an id twice", () => {
    const small = createAdapterBank(linears, 2 * bank.get("a8").bytes);
    const ids = new Set<number>();
    for (let round = 0; round < 3; round++) {
      small.add("one", "0x01", adapters.get("a8")!);
      small.add("two", "0x02", adapters.get("b5")!);
      expect(() => small.add("three", "0x03", adapters.get("d3")!)).toThrow(
        expect.objectContaining({ code: "adapter-too-large", key: "three" }),
      );
      expect(small.list().map(({ name, hash }) => [name, hash])).toEqual([
        ["one", "0x01"],
        ["two", "0x02"],
      ]);
      for (const { name } of small.list()) {
        ids.add(small.get(name).shared.id);
        small.remove(name);
      }
    }
    expect(ids.size).toBe(6);
    expect(() => small.remove("one")).toThrow(expect.objectContaining({ code: "adapter-unknown" }));
  });

  it("refuses what does not fit, by name", () => {
    expect(() => bank.add("a8", "0x", adapters.get("a8")!)).toThrow(/loaded already/);
    const wide = randomAdapter(model, 129, ["q_proj"], 1n);
    expect(() => bank.add("wide", "0x", wide)).toThrow(expect.objectContaining({ key: "rank" }));
    const narrow = createAdapterBank(
      linears.filter(({ name }) => name.endsWith("q_proj")),
      2 ** 30,
    );
    expect(() => narrow.add("a8", "0x", adapters.get("a8")!)).toThrow(/cannot be adapted here/);
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
    const wanted = rows.slice(0, 3);
    const before = await runTogether(4, wanted);
    const own = createAdapterBank(linears, 2 ** 30);
    for (const [name, adapter] of adapters) own.add(name, "0x", adapter);
    own.add("huge", "0x", constantAdapter(`${lastLayer}.mlp.down_proj`, 1.5e38));
    const huge = { adapter: own.get("huge").shared, promptTokenIds: prompt(1, 9) };
    const seen = await runTogether(4, [...wanted, huge]);
    expect(seen[3]![3]!.every(Number.isFinite)).toBe(false);
    expect(seen.slice(0, 3)).toEqual(before);
  });

  it("starts no row whose keys are no numbers", async () => {
    const own = createAdapterBank(linears, 2 ** 30);
    own.add("huge", "0x", constantAdapter(`${lastLayer}.self_attn.k_proj`, 1.5e38));
    const { cache } = await prefill(loaded, prompt(1, 20), own.get("huge").shared);
    const running = create(cacheShapeOf(loaded), 2);
    expect(() => join(running, cache)).toThrow(expect.objectContaining({ code: "not-finite" }));
  });

  it("is refused where its scale already overflows", () => {
    const name = `${lastLayer}.self_attn.k_proj`;
    const adapter = randomAdapter(model, 8, [name], 1n);
    const modules = new Map([[name, { ...adapter.modules.get(name)!, alpha: 1e300 }]]);
    expect(() => bank.add("huge", "0x", { ...adapter, modules })).toThrow(
      expect.objectContaining({ code: "adapter-invalid", key: name }),
    );
    expect(bank.list().map(({ name: each }) => each)).not.toContain("huge");
  });
});

describe("prefix reuse", () => {
  it("starts where prompts part, under the same adapter only", async () => {
    const prefixes = createPrefixCache(2 ** 24);
    const start = async (adapter: string | null, promptTokenIds: number[]) => {
      const found = await prefill(loaded, promptTokenIds, shared(adapter), prefixes);
      prefixes.keep(shared(adapter)?.id ?? null, promptTokenIds, found.cache);
      return found;
    };
    const begin = prompt(7, 80);
    expect((await start("a8", [...begin, 3, 4, 5])).reusedTokens).toBe(0);
    for (const [end, reused] of [
      [[...begin, 9], 80],
      [begin.slice(0, 50), 49],
    ] as const) {
      const { logits, cache, reusedTokens } = await start("a8", [...end]);
      expect(reusedTokens).toBe(reused);
      expect(relativeError(logits, await alone(model, adapters.get("a8")!, [...end]))).toBeLessThan(1e-5);
      const running = create(cacheShapeOf(loaded), 2);
      join(running, cache);
      const [next] = await decode(loaded, running, [8], [shared("a8")]);
      const expected = await alone(model, adapters.get("a8")!, [...end, 8]);
      expect(relativeError(next!, expected)).toBeLessThan(1e-5);
    }
    expect((await start("b5", [...begin, 9])).reusedTokens).toBe(0);
    expect((await start(null, [...begin, 9])).reusedTokens).toBe(0);
  });

  it("keeps no more bytes than allowed", async () => {
    const prefixes = createPrefixCache(1000);
    const { cache } = await prefill(loaded, prompt(7, 80));
    prefixes.keep(null, prompt(7, 80), cache);
    expect(prefixes.find(null, prompt(7, 81))).toBeNull();
  });

  it.each(familyCases)("continues %s as if from the start", async (name) => {
    const { folder: family, tokenIds } = await readFamily(name);
    const own = load(
      family,
      linearsOf(family.config).map((linear) => linear.name),
    );
    const prefixes = createPrefixCache(2 ** 20);
    const whole = [...tokenIds.slice(0, 20), 1, 2, 3];
    prefixes.keep(null, tokenIds.slice(0, 18), (await prefill(own, tokenIds.slice(0, 18))).cache);
    const { logits, reusedTokens } = await prefill(own, whole, null, prefixes);
    expect(reusedTokens).toBe(18);
    expect(relativeError(logits, await alone(family, null, whole))).toBeLessThan(1e-5);
  });
});
