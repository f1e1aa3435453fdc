import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linearsOf } from "#runtime/decoder/description";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import type { Adapter } from "#runtime/index";
import { cacheShapeOf, decode, prefill } from "#runtime/inference/forward";
import { create, join as joinRow } from "#runtime/inference/kv-cache";
import { loadModel } from "#runtime/inference/session";
import { isTarget } from "#runtime/lora/adapter";
import { createAdapterBank } from "#runtime/multi-lora/adapter-bank";
import { slotsBuild } from "#runtime/multi-lora/slots-build";
import { readModelFolder } from "#runtime/weights/model-folder";
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

/** A cache with every row started; what is returned makes one step of all, as the worker of an open model does. */
async function prepare(folder: string, adapters: Adapter[], modules: string[], prompts: number[][]) {
  const read = await readModelFolder(folder);
  const linears = linearsOf(read.config).filter(({ name }) => isTarget(modules, name));
  const names = new Set(linears.map(({ name }) => name));
  const choice = names.size > 0 ? { makeBuild: slotsBuild(({ name }) => names.has(name)) } : {};
  const graphs = buildGraphs(read, choice);
  const model = loadModel({ folder: read.path, config: read.config, graphs, linears });
  const bank = createAdapterBank(linears, Number.MAX_SAFE_INTEGER);
  adapters.forEach((adapter, index) => {
    bank.add(String(index), "0x", adapter);
  });
  const followed = prompts.map((_, row) =>
    adapters.length === 0 ? null : bank.get(String(row % adapters.length)).shared,
  );
  const cache = create(cacheShapeOf(model), prompts.length);
  for (const [row, prompt] of prompts.entries()) {
    joinRow(cache, (await prefill(model, prompt, followed[row])).cache);
  }
  const tokenIds = new Array<number>(prompts.length).fill(5);
  const step = () => decode(model, cache, tokenIds, followed);
  await step();
  return step;
}
