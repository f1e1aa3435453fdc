import { type Benchmark, compare, type Row } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { measureStep, shapes } from "./step-work.ts";

const rounds = { tiny: 7, mid: 3 };

export const benchmark: Benchmark = {
  name: "gradients",
  title: "LoRA gradients of each example on its own, seven modules, rank 8, per second of CPU time",
  conditions: `one thread each, medians of ${rounds.tiny} (tiny) and ${rounds.mid} (mid) alternating rounds; norms are compared; peer: ${pythonVariable} with captured activations and batched products`,
  run: async () => [await row("tiny"), await row("mid")],
};

async function row(size: "tiny" | "mid"): Promise<Row> {
  const { oursMs, peerMs } = await measureStep("gradients", size, rounds[size]);
  const perSecond = (ms: number) => (shapes[size].rows / ms) * 1000;
  const work = `${size}, ${shapes[size].tokens} tokens each`;
  const row = compare(work, "examples/s", perSecond(oursMs), perSecond(peerMs ?? Number.NaN), "PyTorch", 1.6);
  return peerMs === null ? { ...row, peer: null, peerName: null, ratio: null, ok: false } : row;
}
