import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { randomModel } from "#runtime/fixtures/folders";

const print = join(import.meta.dirname, "./print-bits.ts");

/** JSON writes each float64 so that it reads back the same, and each float32 is one. */
const bitsOf = (folder: string, mode: string, threads: number) =>
  execFileSync(process.execPath, [print, folder, mode, String(threads)], { encoding: "utf8" });

it.each(["packed", "mapped"])(
  "computes the same bits in every process, with 1 to 4 threads, %s",
  async (mode) => {
    const folder = await randomModel();
    const first = bitsOf(folder, mode, 1);
    expect(JSON.parse(first).logProbs).toHaveLength(12);
    for (const threads of [1, 2, 3, 4]) {
      expect(bitsOf(folder, mode, threads), `${threads} threads`).toBe(first);
    }
  },
);
