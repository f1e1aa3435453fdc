import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { invariant } from "#schema/errors";
import { alone, type Benchmark, under } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { seven, writeAdapters, writeModel } from "./random-model.ts";

export const benchmark: Benchmark = {
  name: "train-memory",
  title: "Peak memory of training an adapter of rank 8 on seven modules of the mid model",
  conditions: `peak resident memory (VmHWM: interpreter, libraries and mapped weights included) of a process of its own after three steps of 4 × 128 tokens with AdamW; 107 M parameters in float32; 1 thread; peer: ${pythonVariable} with transformers and PEFT, eager, SDPA`,
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), "tributary-train-memory-"));
    try {
      const [model, adapters] = [join(folder, "model"), join(folder, "adapters")];
      await writeModel(model, "mid");
      await writeAdapters(adapters, model, 1, seven);
      const adapter = join(adapters, "0");
      const ours = peakMiB(process.execPath, "train-memory-worker.ts", model, adapter);
      const python = process.env[pythonVariable];
      const work = "mid, 4 × 128 tokens";
      if (!python) return [alone(work, "MiB", ours, { min: 0 })];
      return [under(work, "MiB", ours, peakMiB(python, "train-memory.py", model, adapter), "PyTorch", 0.6)];
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

function peakMiB(command: string, script: string, ...rest: string[]): number {
  const { stdout, status, stderr } = spawnSync(command, [join(import.meta.dirname, script), ...rest], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  invariant(status === 0, `${script} ends well: ${stderr}`);
  return JSON.parse(stdout).peakMiB;
}
