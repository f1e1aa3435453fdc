import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { linearsOf } from "#runtime/decoder/description";
import { temporaryFolder } from "#runtime/fixtures/folders";
import {
  type Adapter,
  type GeneratedToken,
  hashAdapter,
  initialAdapter,
  type Model,
  mergeAndSave,
  type OpenOptions,
  openModel,
  writeAdapter,
} from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { readModelFolder } from "#runtime/weights/model-folder";

const folder = join(import.meta.dirname, "../models/quote");
const seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const { config } = await readModelFolder(folder);

/** A random adapter that changes what the model says. */
function randomAdapter(rank: number, targetModules: string[], seed: bigint): Adapter {
  const settings = { baseModel: null, rank, alpha: rank, isRankStabilized: false, seed, targetModules };
  const adapter = initialAdapter(config, settings);
  const next = pcg32(seed, 99n);
  for (const { b } of adapter.modules.values()) {
    for (let at = 0; at < b.length; at++) b[at] = (next() / 2 ** 32 - 0.5) / 4;
  }
  return adapter;
}

const adapters = { wide: randomAdapter(16, seven, 1n), narrow: randomAdapter(4, ["q_proj", "v_proj"], 2n) };

async function adapterFolders(): Promise<Record<keyof typeof adapters, string>> {
  const parent = await temporaryFolder();
  await writeAdapter(join(parent, "wide"), adapters.wide);
  await writeAdapter(join(parent, "narrow"), adapters.narrow);
  return { wide: join(parent, "wide"), narrow: join(parent, "narrow") };
}

async function open(options: OpenOptions = {}): Promise<Model> {
  const model = await openModel(folder, { adaptableModules: seven, ...options });
  onTestFinished(() => model.close());
  for (const [name, path] of Object.entries(await adapterFolders())) await model.loadAdapter(name, path);
  return model;
}

const draw = (length: number, salt: number) =>
  Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 4000);
const names = [null, "wide", "narrow"];

/** Every prompt under every adapter. */
const asked = Array.from({ length: 9 }, (_, index) => ({
  adapter: names[index % 3],
  promptTokenIds: draw(1 + ((index * 23) % 150), index),
  answerTokenIds: draw(1 + (index % 9), index + 1),
}));
const wanted = asked.map(({ adapter, promptTokenIds }, index) => ({
  adapter,
  promptTokenIds,
  tokensMax: 3 + index,
  temperature: index % 2,
  seed: BigInt(index),
}));

describe("an open model with adapters", () => {
  it("judges as the merged model does, and on the base the same bits as a model without", async () => {
    const model = await open();
    await using base = await openModel(folder);
    const scored = await model.logProb(asked);
    const plain = asked.map(({ promptTokenIds, answerTokenIds }) => ({ promptTokenIds, answerTokenIds }));
    const unadapted = await base.logProb(plain);
    for (const [name, adapter] of Object.entries(adapters)) {
      const merged = join(await temporaryFolder(), "merged");
      await mergeAndSave(folder, adapter, merged);
      await using expected = await openModel(merged);
      const logProbs = await expected.logProb(plain);
      for (const [index, request] of asked.entries()) {
        if (request.adapter !== name) continue;
        expect(Math.abs(scored[index]! / logProbs[index]! - 1), `${name} ${index}`).toBeLessThan(1e-5);
        expect(Math.abs(scored[index]! / unadapted[index]! - 1)).toBeGreaterThan(1e-4);
      }
    }
    asked.forEach(({ adapter }, index) => {
      if (adapter === null) expect(scored[index]).toBe(unadapted[index]);
    });
  });

  it("judges and answers the same bits alone, together, and on 1, 2 and 4 threads", async () => {
    const single = await open({ rowsMax: 1 });
    const scored: number[] = [];
    for (const request of asked) scored.push(...(await single.logProb([request])));
    const generations = [];
    for (const request of wanted) generations.push(await single.generate(request));
    for (const [threads, rowsMax] of [
      [2, 3],
      [4, 5],
    ]) {
      const model = await open({ threads: threads!, rowsMax: rowsMax! });
      expect(await model.logProb(asked.toReversed())).toEqual(scored.toReversed());
      expect(await Promise.all(wanted.map((request) => model.generate(request)))).toEqual(generations);
    }
  });

  it("loads, lists and unloads while answers run, which end with what they began with", async () => {
    const model = await open();
    const { wide, narrow } = await adapterFolders();
    const request = { ...wanted[4]!, adapter: "wide", tokensMax: 20 };
    const undisturbed = await model.generate(request);
    const seen: GeneratedToken[] = [];
    const disturbed = await model.generate({
      ...request,
      onToken: (token) => {
        seen.push(token);
        if (seen.length === 2) model.unloadAdapter("wide");
      },
    });
    expect(disturbed).toEqual(undisturbed);
    expect(model.adapters()).toEqual([
      { name: "narrow", hash: await hashAdapter(narrow), bytes: expect.any(Number) },
    ]);
    await expect(model.generate(request)).rejects.toMatchObject({ code: "adapter-unknown" });
    const unknown = model.logProb([{ ...asked[0]!, adapter: "wide" }]);
    await expect(unknown).rejects.toMatchObject({ code: "adapter-unknown" });
    expect((await model.loadAdapter("wide", narrow)).hash).toBe(await hashAdapter(narrow));
    const other = { ...request, adapter: "narrow" };
    expect(await model.generate(request)).toEqual(await model.generate(other));
    await expect(model.loadAdapter("wide", wide)).rejects.toMatchObject({ code: "adapter-known" });
  });

  it("names the adapters that took part in the profile", async () => {
    const model = await open();
    const { wide, narrow } = await adapterFolders();
    expect(model.profile().adapterHashes).toEqual([]);
    expect(model.profile(["wide"]).adapterHashes).toEqual([await hashAdapter(wide)]);
    const both = [await hashAdapter(wide), await hashAdapter(narrow)].toSorted();
    expect(model.profile(["wide", "narrow", "wide"]).adapterHashes).toEqual(both);
    expect(model.profile(["wide"]).hash).not.toBe(model.profile().hash);
    expect(() => model.profile(["none"])).toThrow(expect.objectContaining({ code: "adapter-unknown" }));
  });

  it("reuses prompts of the same adapter for answers, and for log-probabilities never", async () => {
    const [plain, reusing] = [await open(), await open({ prefixBytesMax: 2 ** 26 })];
    const promptTokenIds = draw(200, 3);
    for (const adapter of [null, "wide", "narrow", "wide", null]) {
      const request = { adapter, promptTokenIds, tokensMax: 8, temperature: 0, seed: 1n };
      const expected = await plain.generate(request);
      const found = await reusing.generate(request);
      expect(found.tokenIds).toEqual(expected.tokenIds);
      found.logProbs.forEach((logProb, index) => {
        expect(Math.abs(logProb - expected.logProbs[index]!)).toBeLessThan(1e-4);
      });
    }
    expect(await reusing.logProb(asked)).toEqual(await plain.logProb(asked));
    expect(reusing.profile().graphHash).not.toBe(plain.profile().graphHash);
  });

  it("refuses modules, names and sizes that are none", async () => {
    const refusal = (field: string) => ({ code: "request-invalid", field });
    await expect(openModel(folder, { adaptableModules: ["q_prj"] })).rejects.toMatchObject(
      refusal("adaptableModules"),
    );
    await expect(openModel(folder, { prefixBytesMax: -1 })).rejects.toMatchObject(refusal("prefixBytesMax"));
    const { wide } = await adapterFolders();
    await using model = await openModel(folder, { adaptableModules: ["q_proj"], adaptersBytesMax: 0 });
    await expect(model.loadAdapter("", wide)).rejects.toMatchObject(refusal("name"));
    await expect(model.loadAdapter("wide", wide)).rejects.toMatchObject({ code: "adapter-mismatch" });
    await expect(model.loadAdapter("wide", "/nonexistent")).rejects.toMatchObject({
      code: "model-folder-missing",
    });
    const [q] = linearsOf(config);
    const own = join(await temporaryFolder(), "q");
    await writeAdapter(own, randomAdapter(4, [q!.name], 5n));
    await expect(model.loadAdapter("q", own)).rejects.toMatchObject({ code: "adapter-too-large" });
  });
});
