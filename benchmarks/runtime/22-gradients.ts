import { alone, type Benchmark, compare, type Row } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { measureStep, shapes } from "./step-work.ts";

const rounds = { tiny: 7, mid: 3 };

export const benchmark: Benchmark = {
  name: "gradients",
  title: "LoRA gradients of each example on its own, seven modules, rank 8, per second of CPU time",
  conditions: `one thread each, medians of ${rounds.tiny} (tiny) and ${rounds.mid} (mid) alternating rounds; norms are compared; peer: ${pythonVariable} three ways: captured activations and batched products, vmap of torch.func, a loop`,
  run: async () => [...(await rowsOf("tiny")), ...(await rowsOf("mid"))],
};

async function rowsOf(size: "tiny" | "mid"): Promise<Row[]> {
  const { oursMs, peersMs } = await measureStep("gradients", size, rounds[size]);
  const perSecond = (ms: number) => (shapes[size].rows / ms) * 1000;
  const work = `${size}, ${shapes[size].tokens} tokens each`;
  const peers = Object.entries(peersMs);
  if (peers.length === 0) return [alone(work, "examples/s", perSecond(oursMs), { min: 0 })];
  return peers.map(([name, ms]) => compare(work, "examples/s", perSecond(oursMs), perSecond(ms), name, 1.6));
}
