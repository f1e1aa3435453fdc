import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { invariant } from "#schema/errors";
import { alone, type Benchmark, median, type Row, under } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { writeModel } from "./random-model.ts";

const rounds = 3;
const python = process.env[pythonVariable];
const peerName = "transformers";

/** One process, from its start to its first token. `cpuMs` counts all its threads. */
type Run = { tokenId: number; cpuMs: number; wallMs: number; peakMiB: number };

export const benchmark: Benchmark = {
  name: "load",
  title: "Model folder to first token, in a process of its own",
  conditions: `the mid model, 107 M parameters in float32; prompt of 128 tokens; 1 thread; ${rounds} alternating rounds, medians; files in the page cache; ours hashes the files too; peer: ${pythonVariable} with transformers`,
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), "tributary-load-"));
    try {
      await writeModel(folder, "mid");
      const ours = { mapped: [] as Run[], packed: [] as Run[] };
      const peer: Run[] = [];
      for (let round = 0; round < rounds; round++) {
        ours.mapped.push(measure(process.execPath, ["first-token-worker.ts", folder, "mapped"]));
        ours.packed.push(measure(process.execPath, ["first-token-worker.ts", folder, "packed"]));
        if (python) peer.push(measure(python, ["first-token.py", folder]));
      }
      const tokens = new Set([...ours.mapped, ...ours.packed, ...peer].map(({ tokenId }) => tokenId));
      invariant(tokens.size === 1, "both give the same token");
      return (["mapped", "packed"] as const).flatMap((mode) => [
        row(`CPU time, ${mode}`, "ms", ours[mode], peer, "cpuMs", 0.5),
        row(`wall time, ${mode}`, "ms", ours[mode], peer, "wallMs", 0.5),
        row(`peak memory, ${mode}`, "MiB", ours[mode], peer, "peakMiB", 1),
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

function row(work: string, unit: string, ours: Run[], peer: Run[], of: keyof Run, ratioMax: number): Row {
  const middle = (runs: Run[]) => median(runs.map((run) => run[of]));
  if (peer.length === 0) return alone(work, unit, middle(ours), { min: 0 });
  return under(work, unit, middle(ours), middle(peer), peerName, ratioMax);
}

function measure(command: string, [script = "", ...rest]: string[]): Run {
  const start = performance.now();
  const { stdout, status, stderr } = spawnSync(command, [join(import.meta.dirname, script), ...rest], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  const wallMs = performance.now() - start;
  invariant(status === 0, `${script} ends well: ${stderr}`);
  return { ...JSON.parse(stdout), wallMs };
}
