import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { randomModel } from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import type { WeightMode } from "./session-options.ts";

const measure = join(import.meta.dirname, "./measure-memory.ts");

/** Growth of a fresh process that opens a model in `threads` workers and scores once, in MiB. */
function growth(folder: string, mode: WeightMode, threads: number): { anonymous: number; file: number } {
  return JSON.parse(
    execFileSync(process.execPath, [measure, folder, mode, String(threads)], { encoding: "utf8" }),
  );
}

/** float32 weights of 30 MiB, of which every graph uses all. */
const wide = {
  hidden_size: 512,
  intermediate_size: 2048,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  head_dim: 64,
};

describe.skipIf(process.platform !== "linux")("weights in memory", () => {
  it("stay in their file when mapped, however many workers and graphs, and are copied when packed", async () => {
    const folder = await randomModel(wide);
    const [packed, one, three] = [
      growth(folder, "packed", 1),
      growth(folder, "mapped", 1),
      growth(folder, "mapped", 3),
    ];
    expect(one.file).toBeGreaterThan(20);
    expect(three.file).toBeLessThan(1.5 * one.file);
    expect(packed.anonymous - one.anonymous).toBeGreaterThan(60);
  });

  it("of bfloat16 stay in their file when narrow, and give the bits that mapped ones give", async () => {
    const folder = await randomModel(wide, "BF16");
    const [mapped, narrow] = [growth(folder, "mapped", 1), growth(folder, "narrow", 1)];
    expect(narrow.file - mapped.file).toBeGreaterThan(10);
    expect(mapped.anonymous - narrow.anonymous).toBeGreaterThan(20);
    const asked = [{ promptTokenIds: [1, 2, 3], answerTokenIds: [4, 5] }];
    await using one = await openModel(folder, { weightMode: "mapped" });
    await using other = await openModel(folder, { weightMode: "narrow" });
    expect(await other.logProb(asked)).toEqual(await one.logProb(asked));
    expect(other.profile().hash).not.toBe(one.profile().hash);
  });

  it("give the same log-probabilities to 1e-5, and a profile that says how", async () => {
    const folder = await randomModel();
    const asked = Array.from({ length: 8 }, (_, index) => ({
      promptTokenIds: [1 + index, 2, 3],
      answerTokenIds: [4, 5 + index],
    }));
    await using packed = await openModel(folder);
    await using mapped = await openModel(folder, { weightMode: "mapped", threads: 2 });
    const [left, right] = [await packed.logProb(asked), await mapped.logProb(asked)];
    left.forEach((logProb, index) => {
      expect(Math.abs(logProb / (right[index] ?? 0) - 1)).toBeLessThan(1e-5);
    });
    for (const [index, request] of asked.entries())
      expect(await mapped.logProb([request])).toEqual([right[index]]);
    expect(packed.profile().hash).not.toBe(mapped.profile().hash);
    expect(mapped.profile().canonicalJson).toContain('"disable_prepacking":"1"');
  });
});
