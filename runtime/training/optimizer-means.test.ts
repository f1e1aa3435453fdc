import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "#runtime/fixtures/folders";
import { readOptimizerMeans, writeOptimizerMeans } from "./optimizer-means.ts";

const means = new Map([
  ["q.a", { mean: Float32Array.of(1, -2), square: Float32Array.of(0, 4) }],
  ["q.b", { mean: Float32Array.of(3), square: Float32Array.of(9) }],
]);
const sizes = new Map([
  ["q.a", 2],
  ["q.b", 1],
]);

async function written(given: typeof means): Promise<string> {
  const path = join(await temporaryFolder(), "means.safetensors");
  await writeOptimizerMeans(path, given);
  return path;
}

describe("a file of an optimizer's means", () => {
  it("gives back what was written", async () => {
    expect(await readOptimizerMeans(await written(means), sizes)).toEqual(means);
  });

  it.each<[string, [number[], number[]]]>([
    ["a mean of another size", [[1], [0, 4]]],
    [
      "a square below zero",
      [
        [1, -2],
        [0, -4],
      ],
    ],
    [
      "a mean that is no number",
      [
        [1, Number.NaN],
        [0, 4],
      ],
    ],
    [
      "an infinite square",
      [
        [1, -2],
        [0, Number.POSITIVE_INFINITY],
      ],
    ],
  ])("is refused for %s", async (_, [mean, square]) => {
    const parts = { mean: Float32Array.from(mean), square: Float32Array.from(square) };
    const path = await written(new Map([...means, ["q.a", parts]]));
    await expect(readOptimizerMeans(path, sizes)).rejects.toMatchObject({ code: "optimizer-invalid" });
  });

  it("is refused where it is missing, lacks a parameter, or is no file of tensors", async () => {
    const missing = join(await temporaryFolder(), "none");
    await expect(readOptimizerMeans(missing, sizes)).rejects.toMatchObject({ code: "optimizer-invalid" });
    const more = new Map([...sizes, ["q.c", 1]]);
    await expect(readOptimizerMeans(await written(means), more)).rejects.toMatchObject({
      code: "optimizer-invalid",
    });
    const path = await written(means);
    await writeFile(path, "no tensors");
    await expect(readOptimizerMeans(path, sizes)).rejects.toMatchObject({ code: "weight-file-invalid" });
  });
});
