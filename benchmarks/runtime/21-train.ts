import type { Benchmark, Row } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { measureStep, shapes } from "./step-work.ts";

const rounds = { tiny: 7, mid: 3 };

export const benchmark: Benchmark = {
  name: "train",
  title: "One LoRA training step without its update: loss and all gradients, seven modules, rank 8",
  conditions: `process CPU time, one thread each, medians of ${rounds.tiny} (tiny) and ${rounds.mid} (mid) alternating rounds; every token a target; losses are compared; peer: ${pythonVariable} with transformers and PEFT, eager, SDPA`,
  run: async () => [await row("tiny"), await row("mid")],
};

async function row(size: "tiny" | "mid"): Promise<Row> {
  const { oursMs, peerMs } = await measureStep("train", size, rounds[size]);
  const { rows, tokens } = shapes[size];
  const ratio = peerMs === null ? null : oursMs / peerMs;
  return {
    work: `${size}, ${rows} × ${tokens} tokens`,
    unit: "CPU ms",
    ours: oursMs,
    peer: peerMs,
    peerName: peerMs === null ? null : "PyTorch eager",
    ratio,
    goal: "≤ 0.7× PyTorch eager",
    ok: ratio !== null && ratio <= 0.7,
  };
}
