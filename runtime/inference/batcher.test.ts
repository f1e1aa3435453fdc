import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { fixture, randomModel, temporaryFolder } from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { readModelFolder } from "#runtime/weights/model-folder";
import { quantiseFolder } from "#runtime/weights/quantise-folder";
import { createBatcher } from "./batcher.ts";
import type { GeneratedToken, Generation } from "./generate.ts";
import { type LoadedModel, loadModel } from "./session.ts";
import type { WeightMode } from "./session-options.ts";

const silent = { emit: () => undefined, isAborted: () => false };

/** Answers of many lengths, from prompts on both sides of the block borders, greedy and sampled. */
const tasks = Array.from({ length: 11 }, (_, index) => ({
  promptTokenIds: Array.from({ length: 1 + ((index * 37) % 150) }, (_, at) => (at * 31 + index) % 1000),
  tokensMax: 4 + ((index * 13) % 70),
  temperature: index % 3 === 0 ? 0 : 0.8,
  seed: BigInt(index),
  stopTokenIds: [index],
}));

async function load(folder: string, weightMode: WeightMode = "packed"): Promise<LoadedModel> {
  const found = await readModelFolder(folder);
  const graphs = buildGraphs(found);
  const isQuantised = found.quantised.size > 0;
  return loadModel({ folder: found.path, config: found.config, graphs, weightMode, isQuantised });
}

async function alone(model: LoadedModel): Promise<Generation[]> {
  const generations = [];
  for (const task of tasks) generations.push(await createBatcher(model, 1).generate(task, silent));
  return generations;
}

describe("a running batch", () => {
  it.each(["packed", "mapped", "quantised"] as const)(
    "gives every answer the bits it has alone, however many share a step: %s weights",
    async (kind) => {
      const plain = await randomModel({ intermediate_size: 704 });
      const folder = kind === "quantised" ? await temporaryFolder() : plain;
      if (kind === "quantised") await quantiseFolder(plain, folder, { bits: 4 });
      const model = await load(folder, kind === "mapped" ? "mapped" : "packed");
      const expected = await alone(model);
      expect(new Set(expected.map(({ tokenIds }) => tokenIds.length)).size).toBeGreaterThan(5);
      for (const rowsMax of [2, 3, 8]) {
        const batcher = createBatcher(model, rowsMax);
        const together = await Promise.all(tasks.map((task) => batcher.generate(task, silent)));
        expect(together, `${rowsMax} rows`).toEqual(expected);
      }
    },
  );

  it("lets answers join between the steps of others, and leave by their listener's word", async () => {
    const batcher = createBatcher(await load(fixture("tied")), 4);
    const order: string[] = [];
    const listener = (name: string, last: number) => {
      let seen = 0;
      return { emit: () => order.push(name), isAborted: () => ++seen > last };
    };
    const task = { promptTokenIds: [1, 2, 3], tokensMax: 60, temperature: 1, seed: 1n, stopTokenIds: [] };
    const first = batcher.generate(task, listener("a", Number.POSITIVE_INFINITY));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = batcher.generate(task, listener("b", 9));
    expect((await second).finishReason).toBe("aborted");
    expect((await first).finishReason).toBe("length");
    expect(order.filter((name) => name === "b")).toHaveLength(9);
    expect(order.lastIndexOf("a")).toBeGreaterThan(order.lastIndexOf("b"));
  });

  it("serves more than its rows by turns, and an answer that fails fails alone", async () => {
    const model = await load(fixture("tied"));
    const batcher = createBatcher(model, 2);
    const task = { promptTokenIds: [1, 2, 3], tokensMax: 5, temperature: 0, seed: 1n, stopTokenIds: [] };
    const broken = {
      emit: () => {
        throw new RangeError("gone");
      },
      isAborted: () => false,
    };
    const settled = await Promise.allSettled([
      batcher.generate(task, silent),
      batcher.generate(task, broken),
      ...[1, 2, 3].map(() => batcher.generate(task, silent)),
    ]);
    expect(settled.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      ...Array(3).fill("fulfilled"),
    ]);
    const [first] = settled;
    expect(settled[4]).toEqual(first);
  });
});

describe("an open model", () => {
  it("generates together what it generates one by one, on one thread and four", async () => {
    const folder = await randomModel();
    const requests = tasks.map((task) => ({ ...task, tokensMax: 12 }));
    await using single = await openModel(folder, { rowsMax: 1 });
    const expected: Generation[] = [];
    for (const request of requests) expected.push(await single.generate(request));
    for (const threads of [1, 4]) {
      await using model = await openModel(folder, { threads, rowsMax: 4 });
      const seen: GeneratedToken[][] = requests.map(() => []);
      const together = await Promise.all(
        requests.map((request, index) =>
          model.generate({ ...request, onToken: (token) => seen[index]?.push(token) }),
        ),
      );
      expect(together).toEqual(expected);
      expect(seen.map((tokens) => tokens.map(({ tokenId }) => tokenId))).toEqual(
        expected.map(({ tokenIds }) => tokenIds),
      );
    }
  });
});
