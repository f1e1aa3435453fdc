import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { randomModel } from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { readModelFolder } from "#runtime/weights/model-folder";
import { cacheBytes, chunkBytesMax, chunkTokens, needsChunks } from "./chunks.ts";
import { cacheShapeOf, decode, prefill } from "./forward.ts";
import { create, join } from "./kv-cache.ts";
import { logProbBatch, type PaddedBatch, planBatches } from "./log-prob.ts";
import { type LoadedModel, loadModel } from "./session.ts";

/** Many narrow heads: sequences above 724 tokens are cut. */
const many = {
  hidden_size: 128,
  num_attention_heads: 64,
  num_key_value_heads: 32,
  head_dim: 2,
  intermediate_size: 192,
  max_position_embeddings: 2048,
};

const draw = (length: number, salt: number) =>
  Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 1031);

async function load(folder: string): Promise<LoadedModel> {
  const found = await readModelFolder(folder);
  const graphs = buildGraphs(found, { canExtend: true, canExtendLogProb: true });
  return loadModel({ folder: found.path, config: found.config, graphs });
}

describe("a chunk", () => {
  it("is the whole sequence while scores and logits are small, then whole blocks of it", () => {
    const llama = { headCount: 32, vocabularySize: 128_256 };
    expect([1, 64, 65, 1024, 1025, 8192, 131_072].map((tokens) => chunkTokens(llama, tokens))).toEqual([
      64, 64, 128, 1024, 960, 128, 64,
    ]);
    for (const tokens of [700, 1500, 5000, 100_000]) {
      const chunk = chunkTokens(llama, tokens);
      expect(chunk % 64).toBe(0);
      expect(chunk === 64 || 32 * chunk * tokens * 4 <= chunkBytesMax).toBe(true);
    }
    expect(chunkTokens(llama, 1000, 200)).toBe(1024);
    expect(chunkTokens(llama, 1000, 900)).toBe(256);
  });

  it("is what a model has one of while its context is short", async () => {
    const { config } = await readModelFolder(await randomModel());
    expect(needsChunks(config)).toBe(false);
    expect(needsChunks({ ...config, contextTokensMax: 10_000 })).toBe(true);
  });
});

describe("a long sequence", () => {
  it("gives in chunks what it gives in one run", async () => {
    const model = await load(await randomModel(many));
    const request = { promptTokenIds: draw(1100, 1), answerTokenIds: draw(300, 2) };
    const [planned] = planBatches(model.config, [request]);
    expect(planned).toMatchObject({ kind: "padded", chunk: 320, paddedTokens: 1408 });
    const [inChunks] = await logProbBatch(model, planned!);
    const [whole] = await logProbBatch(model, { ...(planned as PaddedBatch), chunk: 1408 });
    expect(Math.abs(inChunks! / whole! - 1)).toBeLessThan(1e-5);
    const { logits, cache } = await prefill(model, request.promptTokenIds);
    const running = create(cacheShapeOf(model), 1);
    join(running, cache);
    const [next] = await decode(model, running, [7]);
    const { logits: expected } = await prefill({ ...model, config: { ...model.config, headCount: 1 } }, [
      ...request.promptTokenIds,
      7,
    ]);
    expect(logits).toHaveLength(expected.length);
    next!.forEach((logit, id) => {
      expect(Math.abs(logit - expected[id]!)).toBeLessThan(1e-4);
    });
  });

  it("is judged the same bits in any company and on any number of threads", async () => {
    const folder = await randomModel({ ...many, num_hidden_layers: 1 });
    const asked = [900, 30, 1300, 900, 200].map((length, salt) => ({
      promptTokenIds: draw(length, salt % 3),
      answerTokenIds: draw(9 + 60 * salt, salt + 1),
    }));
    await using model = await openModel(folder, { threads: 2 });
    await using single = await openModel(folder);
    const together = await model.logProb(asked);
    for (const [index, request] of asked.entries()) {
      expect(await single.logProb([request])).toEqual([together[index]]);
    }
    expect(await single.logProb(asked.toReversed())).toEqual(together.toReversed());
    expect(single.profile().chunkBytesMax).toBe(chunkBytesMax);
  });

  it("takes memory by its length, not by the square of it", async () => {
    const folder = await randomModel({
      ...many,
      num_hidden_layers: 1,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      head_dim: 8,
      max_position_embeddings: 8192,
    });
    const script = `
      import { readFileSync } from "node:fs";
      import { openModel } from "#runtime/index";
      const model = await openModel(process.argv[1]);
      const promptTokenIds = new Array(4800).fill(3);
      await model.generate({ promptTokenIds, tokensMax: 1, temperature: 0, seed: 0n });
      await model.logProb([{ promptTokenIds, answerTokenIds: [1, 2] }]);
      await model.close();
      console.log(1024 * /VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);`;
    const args = ["--input-type=module", "-e", script, folder];
    // Not maxRSS: Linux lets a spawned process begin with its parent's.
    const peak = Number(execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: "utf8" }));
    const square = 16 * 4800 ** 2 * 4; // One layer's scores in one run; three such tensors would live.
    expect(peak).toBeLessThan(square);
  });

  it("is refused where its keys and values alone take more than allowed", async () => {
    const folder = await randomModel();
    const { config } = await readModelFolder(folder);
    const cacheBytesMax = cacheBytes(config, 128, 1);
    await using model = await openModel(folder, { cacheBytesMax, rowsMax: 4 });
    const generate = (prompt: number, tokensMax: number) =>
      model.generate({ promptTokenIds: draw(prompt, 1), tokensMax, temperature: 0, seed: 0n });
    const refused = { code: "memory-exceeded", retryable: false };
    await expect(generate(120, 9)).rejects.toMatchObject(refused);
    await expect(generate(129, 1)).rejects.toMatchObject(refused);
    const long = { promptTokenIds: draw(120, 1), answerTokenIds: draw(9, 1) };
    await expect(model.logProb([long])).rejects.toThrow(`cacheBytesMax: ${cacheBytesMax} bytes`);
    // What fits alone but not together waits for its turn.
    const alone = await generate(100, 20);
    const together = await Promise.all(Array.from({ length: 6 }, () => generate(100, 20)));
    expect(together).toEqual(new Array(6).fill(alone));
  });
});
