/** Train and per-example gradient runs of ours and PyTorch's, by turns, on the same model, adapter and tokens. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gradientGraph } from "#runtime/gradients/gradient-graph";
import type { Adapter, Device } from "#runtime/index";
import { floats, integers, type OpenGraph, openGraph, type Run } from "#runtime/inference/session";
import { encode } from "#runtime/onnx/model";
import { trainGraph, trainSession } from "#runtime/training/train-graph";
import { adapterTargets } from "#runtime/training/trainer";
import { readModelFolder } from "#runtime/weights/model-folder";
import { median } from "../report.ts";
import { cpuMs, type Peer, startPeer } from "./peer.ts";
import { randomTokens, seven, type sizes, writeAdapters, writeModel } from "./random-model.ts";

export interface StepTimes {
  readonly oursMs: number;
  /** By the name of what was asked of PyTorch; empty without a Python. */
  readonly peersMs: Readonly<Record<string, number>>;
}

/** What PyTorch is asked for, by the name it has in the table. */
export const peerWorks = {
  train: {
    "PyTorch eager": { work: "train" },
    "torch.compile": { work: "train", isCompiled: true },
  },
  gradients: {
    "PyTorch, captured and bmm": { work: "gradients" },
    "PyTorch, vmap": { work: "gradientsByVmap" },
    "PyTorch, loop": { work: "gradientsByLoop" },
  },
} as const;

/** Rows and tokens of one run. */
export const shapes = {
  nano: { rows: 2, tokens: 32 },
  tiny: { rows: 8, tokens: 128 },
  mid: { rows: 4, tokens: 128 },
} as const;

/** Median CPU time of one run of each side over `rounds` alternating rounds, the first not counted. */
export async function measureStep(
  work: "train" | "gradients",
  size: keyof typeof sizes,
  rounds: number,
): Promise<StepTimes> {
  const folder = await mkdtemp(join(tmpdir(), "bench-runtime-"));
  const peer = startPeer();
  try {
    const model = join(folder, "model");
    await writeModel(model, size);
    const [adapter] = await writeAdapters(join(folder, "adapters"), model, 1, seven);
    return await alternateSteps(work, model, join(folder, "adapters"), adapter!, shapes[size], rounds, peer);
  } finally {
    await peer?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

async function alternateSteps(
  work: "train" | "gradients",
  model: string,
  adapters: string,
  adapter: Adapter,
  { rows, tokens }: { rows: number; tokens: number },
  rounds: number,
  peer: Peer | null,
): Promise<StepTimes> {
  const tokenIds = randomTokens(rows * tokens);
  const matrix = Array.from({ length: rows }, (_, row) => tokenIds.slice(row * tokens, (row + 1) * tokens));
  const { run, feeds } = await openStep(work, model, adapter, tokenIds, tokens);
  const ours: number[] = [];
  const peers = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    let outputs: Record<string, Float32Array> = {};
    ours.push(
      await cpuMs(async () => {
        outputs = await run(feeds);
      }),
    );
    if (!peer) continue;
    const check = work === "train" ? outputs.loss![0]! : normOfFirst(outputs, rows);
    for (const [name, request] of Object.entries(peerWorks[work])) {
      const answer = await peer.ask({ ...request, model, adapters, adapterCount: 1, tokenIds: matrix });
      if (Math.abs(check / answer.check - 1) > 1e-4) {
        throw new RangeError(`unlike work: ours gives ${check}, ${name} ${answer.check}`);
      }
      peers.set(name, [...(peers.get(name) ?? []), answer.cpuMs]);
    }
  }
  const peersMs = [...peers].map(([name, times]) => [name, median(times.slice(1))] as const);
  return { oursMs: median(ours.slice(1)), peersMs: Object.fromEntries(peersMs) };
}

/** One run of the train or gradient graph over rows of `tokens` tokens, each token a target. */
export async function openStep(
  work: "train" | "gradients",
  folder: string,
  adapter: Adapter,
  tokenIds: number[],
  tokens: number,
  device: Device = "cpu",
): Promise<Pick<OpenGraph, "run" | "release"> & { feeds: Parameters<Run>[0] }> {
  const model = await readModelFolder(folder);
  const targets = adapterTargets(model, adapter);
  const graph =
    work === "train" ? trainGraph(model, targets) : gradientGraph(model, targets, { kind: "full" });
  const shape = [tokenIds.length / tokens, tokens];
  const at = tokenIds.flatMap((_, index) => (index % tokens > 0 ? [index] : []));
  const places = tokenIds.map((_, index) => index % tokens);
  const feeds: Parameters<Run>[0] = {
    tokenIds: integers(tokenIds, shape),
    targetRows: integers(
      at.map((index) => index - 1),
      [at.length],
    ),
    targetIds: integers(
      at.map((index) => tokenIds[index]!),
      [at.length],
    ),
    targetWeights: floats(new Float32Array(at.length).fill(1), [at.length]),
  };
  if (work === "train") {
    feeds.positions = integers(places, shape);
    feeds.segments = integers(
      places.map(() => 1),
      shape,
    );
  }
  for (const [name, { a, b, rank, inSize, outSize }] of adapter.modules) {
    feeds[`${name}.a`] = floats(a, [rank, inSize]);
    feeds[`${name}.b`] = floats(b, [outSize, rank]);
  }
  const choice = work === "train" ? trainSession : {};
  const { run, release } = await openGraph(graph.name, encode(graph), model.path, { ...choice, device });
  return { run, release, feeds };
}

/** L2 norm of the first sequence's gradient over all factors. */
export function normOfFirst(outputs: Record<string, Float32Array>, rows: number): number {
  let sum = 0;
  for (const [name, values] of Object.entries(outputs)) {
    if (!name.startsWith("gradient.")) continue;
    for (let index = 0; index < values.length / rows; index++) sum += values[index]! ** 2;
  }
  return Math.sqrt(sum);
}
