import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Adapter, type BatchSequence, openBatch } from "#runtime/index";
import { type Benchmark, median, type Row } from "../report.ts";
import { cpuMs, type Peer, pythonVariable, startPeer } from "./peer.ts";
import { randomTokens, seven, type sizes, writeAdapters, writeModel } from "./random-model.ts";

const adapterCount = 8;
const promptTokens = 128;
const steps = 15;

export const benchmark: Benchmark = {
  name: "adapters",
  title: "One decode step of a batch that mixes eight adapters of rank 8",
  conditions: `process CPU time, one thread, medians of ${steps} steps after prompts of ${promptTokens} tokens; the base is the same batch without adapters; peer: ${pythonVariable} with PEFT's adapter_names; set SIZE=mid for the 107M model`,
  run: async () => {
    const size = process.env.SIZE === "mid" ? "mid" : "tiny";
    const folder = await mkdtemp(join(tmpdir(), "bench-adapters-"));
    const peer = startPeer();
    try {
      const model = join(folder, "model");
      await writeModel(model, size);
      const rows: Row[] = [];
      for (const modules of [["q_proj", "v_proj"], seven]) {
        const adapters = await writeAdapters(
          join(folder, `adapters-${modules.length}`),
          model,
          adapterCount,
          modules,
        );
        for (const rowsMax of [8, 32]) {
          rows.push(
            ...(await measure(
              size,
              model,
              join(folder, `adapters-${modules.length}`),
              adapters,
              modules,
              rowsMax,
              peer,
            )),
          );
        }
      }
      return rows;
    } finally {
      await peer?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(
  size: keyof typeof sizes,
  model: string,
  folder: string,
  adapters: Adapter[],
  modules: string[],
  rowsMax: number,
  peer: Peer | null,
): Promise<Row[]> {
  const tokenIds = randomTokens(rowsMax * promptTokens);
  const prompts = Array.from({ length: rowsMax }, (_, row) =>
    tokenIds.slice(row * promptTokens, (row + 1) * promptTokens),
  );
  const mixed = await prepare(model, adapters, modules, prompts);
  const base = await prepare(model, [], [], prompts);
  const times = { mixed: [] as number[], base: [] as number[] };
  for (let step = 0; step < steps; step++) {
    times.mixed.push(await cpuMs(mixed));
    times.base.push(await cpuMs(base));
  }
  const [oursMs, baseMs] = [median(times.mixed), median(times.base)];
  const work = `${size}, ${rowsMax} rows, ${modules.length} modules`;
  const overhead = modules.length === 2 ? 1.15 : 1.3;
  const unit = "CPU ms";
  const rows: Row[] = [
    {
      work,
      unit,
      ours: oursMs,
      peer: baseMs,
      peerName: "our base",
      ratio: oursMs / baseMs,
      goal: `≤ ${overhead}× our base`,
      ok: oursMs / baseMs <= overhead,
    },
  ];
  if (!peer) return rows;
  const { cpuMs: peerMs } = await peer.ask({
    work: "decode",
    model,
    adapters: folder,
    adapterCount,
    tokenIds: prompts,
    steps,
  });
  const ratio = oursMs / peerMs;
  return [
    ...rows,
    {
      work,
      unit,
      ours: oursMs,
      peer: peerMs,
      peerName: "PEFT",
      ratio,
      goal: "≤ 0.33× PEFT",
      ok: ratio <= 1 / 3,
    },
  ];
}

/** A batch with every row started; what is returned makes one step. */
async function prepare(model: string, adapters: Adapter[], modules: string[], prompts: number[][]) {
  const batch = await openBatch(model, { rowsMax: prompts.length, adaptableModules: modules });
  adapters.forEach((adapter, index) => {
    batch.bank.add(String(index), adapter);
  });
  const running: BatchSequence[] = [];
  for (const [row, prompt] of prompts.entries()) {
    const key = adapters.length === 0 ? null : String(row % adapters.length);
    running.push((await batch.start(key, prompt)).sequence);
  }
  const step = () => batch.step(new Map(running.map((sequence) => [sequence, 5])));
  await step();
  return step;
}
