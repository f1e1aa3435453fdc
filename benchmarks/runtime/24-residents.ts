import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Adapter, mergeAndSave } from "#runtime/index";
import type { Benchmark, Row } from "../report.ts";
import { seven, type sizes, writeAdapters, writeModel } from "./random-model.ts";

const adapterCount = 100;
const mergedCounts = [2, 8] as const;

export const benchmark: Benchmark = {
  name: "residents",
  title: "Resident memory of 100 adapters of rank 8 over one model, against 100 merged models",
  conditions: `growth of a process of its own, every graph loaded; merged models: ${mergedCounts.join(" and ")} of them opened, the growth of each further one taken 100 times; set SIZE=mid for the 107M model`,
  run: async () => {
    const size = process.env.SIZE === "mid" ? "mid" : "tiny";
    const folder = await mkdtemp(join(tmpdir(), "bench-residents-"));
    try {
      const model = join(folder, "model");
      await writeModel(model, size);
      const rows: Row[] = [];
      for (const modules of [["q_proj", "v_proj"], seven]) {
        rows.push(await measure(size, folder, model, modules));
      }
      return rows;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(
  size: keyof typeof sizes,
  folder: string,
  model: string,
  modules: readonly string[],
): Promise<Row> {
  const adaptersFolder = join(folder, `adapters-${modules.length}`);
  const adapters = await writeAdapters(adaptersFolder, model, adapterCount, [...modules]);
  const ours = await grow([modules.join(","), adaptersFolder, model]);
  const merged = await mergeSome(folder, model, adapters.slice(0, mergedCounts[1]), modules.length);
  const [few, many] = [
    await grow(["", "-", ...merged.slice(0, mergedCounts[0])]),
    await grow(["", "-", ...merged]),
  ];
  const peer = ((many - few) / (mergedCounts[1] - mergedCounts[0])) * adapterCount;
  const ratio = ours / peer;
  return {
    work: `${size}, ${modules.length} modules`,
    unit: "MB",
    ours: ours / 1e6,
    peer: peer / 1e6,
    peerName: "merged models",
    ratio,
    goal: "≤ 0.05× merged models",
    ok: ratio <= 0.05,
  };
}

async function mergeSome(
  folder: string,
  model: string,
  adapters: readonly Adapter[],
  moduleCount: number,
): Promise<string[]> {
  const made: string[] = [];
  for (const [index, adapter] of adapters.entries()) {
    const path = join(folder, `merged-${moduleCount}-${index}`);
    await mergeAndSave(model, adapter, path);
    made.push(path);
  }
  return made;
}

/** Bytes that a fresh process grows by. */
async function grow(args: readonly string[]): Promise<number> {
  const script = join(import.meta.dirname, "resident-memory.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args]);
  return JSON.parse(stdout).bytes;
}
