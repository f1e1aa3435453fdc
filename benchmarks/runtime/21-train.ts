import { alone, type Benchmark, type Row, under } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { measureStep, shapes } from "./step-work.ts";

const rounds = { tiny: 7, mid: 3 };

export const benchmark: Benchmark = {
  name: "train",
  title: "One LoRA training step without its update: loss and all gradients, seven modules, rank 8",
  conditions: `process CPU time, one thread each, medians of ${rounds.tiny} (tiny) and ${rounds.mid} (mid) alternating rounds; every token a target; losses are compared; peer: ${pythonVariable} with transformers and PEFT, SDPA, eager and compiled by inductor (its compilation is not counted)`,
  run: async () => [...(await rowsOf("tiny")), ...(await rowsOf("mid"))],
};

const ratioMax: Record<string, number> = { "PyTorch eager": 0.7, "torch.compile": 0.9 };

async function rowsOf(size: "tiny" | "mid"): Promise<Row[]> {
  const { oursMs, peersMs } = await measureStep("train", size, rounds[size]);
  const work = `${size}, ${shapes[size].rows} × ${shapes[size].tokens} tokens`;
  const peers = Object.entries(peersMs);
  if (peers.length === 0) return [alone(work, "CPU ms", oursMs, { min: 0 })];
  return peers.map(([name, ms]) => under(work, "CPU ms", oursMs, ms, name, ratioMax[name]!));
}
