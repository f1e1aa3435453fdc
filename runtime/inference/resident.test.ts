import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { fixture } from "#runtime/fixtures/folders";
import { cacheShapeOf, decode, prefill } from "#runtime/inference/forward";
import { readModelFolder } from "#runtime/weights/model-folder";
import { create, join, type KvCache, leave } from "./kv-cache.ts";
import { loadModel } from "./session.ts";

/** A model whose steps keep their cache, on the CPU: the tensors are the host's, the bookkeeping is the same. */
async function load(keepsCache: boolean) {
  const folder = await readModelFolder(fixture("grouped"));
  return loadModel({
    ...{ folder: folder.path, config: folder.config, keepsCache, weightMode: "mapped" as const },
    graphs: buildGraphs(folder, { keepsCache }),
  });
}

/** Steps of rows that come, go, fill a block and take each other's place; logits of every step. */
async function run(keepsCache: boolean): Promise<{ logits: Float32Array[]; resident: boolean[] }> {
  const model = await load(keepsCache);
  const cache: KvCache = create(cacheShapeOf(model), 4);
  const logits: Float32Array[] = [];
  const resident: boolean[] = [];
  const step = async (count: number) => {
    for (let index = 0; index < count; index++) {
      const rows = cache.lengths.length;
      resident.push(model.resident?.feeds(cache, Math.max(rows, model.rowsMin)) !== undefined);
      const tokenIds = cache.lengths.map((length) => (length * 7) % 300);
      for (const row of await decode(model, cache, tokenIds)) logits.push(row.slice());
    }
  };
  const add = async (length: number) => {
    const tokenIds = Array.from({ length }, (_, index) => (index * 11 + length) % 300);
    join(cache, (await prefill(model, tokenIds)).cache);
  };
  await add(61);
  await step(5);
  await add(3);
  await step(2);
  leave(cache, 0);
  await add(5);
  await step(2);
  model.resident?.clear();
  await step(1);
  return { logits, resident };
}

describe("a cache kept where it was computed", () => {
  it("gives the bits of the host's, and is read again from there after each change of rows or slots", async () => {
    const [kept, host] = [await run(true), await run(false)];
    expect(kept.logits).toEqual(host.logits);
    // The fourth step finds a full block and makes another; then a row joins; then one leaves and another joins.
    expect(kept.resident).toEqual([false, true, true, true, false, false, true, false, true, false]);
    expect(new Set(host.resident)).toEqual(new Set([false]));
  });

  it("is not kept with a token that is no number", async () => {
    const model = await load(true);
    const cache = create(cacheShapeOf(model), 4);
    join(cache, (await prefill(model, [1, 2, 3])).cache);
    join(cache, (await prefill(model, [4, 5])).cache);
    cache.keys[0]!.fill(Number.NaN, 0, 4);
    await decode(model, cache, [1, 2]);
    expect(model.resident?.feeds(cache, 2)).toBeUndefined();
  });
});
