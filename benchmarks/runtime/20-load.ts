import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { invariant } from "#schema/errors";
import { alone, type Benchmark, beside, median, type Row, under } from "../report.ts";
import { pythonVariable } from "./peer.ts";
import { writeModel } from "./random-model.ts";

const rounds = 3;
const python = process.env[pythonVariable];
/** A folder where `npm install node-llama-cpp` was run; it reads GGUF, which the Python's package gguf writes. */
const llamaCpp = process.env.NODE_LLAMA_CPP;

/** One process, from its start to its first token. `cpuMs` counts all its threads. */
type Run = { tokenId: number; cpuMs: number; wallMs: number; peakMiB: number };

export const benchmark: Benchmark = {
  name: "load",
  title: "Model folder to first token, in a process of its own",
  conditions: `the mid model, 107 M parameters in float32; prompt of 128 tokens; 1 thread; ${rounds} alternating rounds, medians; files in the page cache; ours hashes the files too; peers: ${pythonVariable} with transformers, and NODE_LLAMA_CPP, a folder with node-llama-cpp, on the same weights in one GGUF file (written by ${pythonVariable} with gguf, not counted)`,
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), "tributary-load-"));
    try {
      await writeModel(folder, "mid");
      const works: Record<string, () => Run> = {
        mapped: () => measure(process.execPath, ["first-token-worker.ts", folder, "mapped"]),
        packed: () => measure(process.execPath, ["first-token-worker.ts", folder, "packed"]),
      };
      if (python) works.transformers = () => measure(python, ["first-token.py", folder]);
      if (python && llamaCpp) {
        const file = join(folder, "model.gguf");
        spawnPart(python, ["llama-cpp-file.py", folder, file]);
        works["node-llama-cpp"] = () =>
          measure(process.execPath, ["first-token-llama-cpp.ts", file, llamaCpp]);
      }
      const runs = alternateRuns(works);
      return ["mapped", "packed"].flatMap((mode) => [
        ...rows("CPU time", "ms", mode, runs, "cpuMs", 0.5),
        ...rows("wall time", "ms", mode, runs, "wallMs", 0.5),
        ...rows("peak memory", "MiB", mode, runs, "peakMiB", 1),
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

/** Every work `rounds` times by turns; all must find the same token. */
function alternateRuns(works: Record<string, () => Run>): Map<string, Run[]> {
  const runs = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(works)) runs.set(name, [...(runs.get(name) ?? []), run()]);
  }
  const tokens = new Set([...runs.values()].flat().map(({ tokenId }) => tokenId));
  invariant(tokens.size === 1, "all give the same token");
  return runs;
}

function rows(
  what: string,
  unit: string,
  mode: string,
  runs: ReadonlyMap<string, Run[]>,
  of: keyof Run,
  ratioMax: number,
): Row[] {
  const middle = (name: string) => median((runs.get(name) ?? []).map((run) => run[of]));
  const [work, ours] = [`${what}, ${mode}`, middle(mode)];
  if (!runs.has("transformers")) return [alone(work, unit, ours, { min: 0 })];
  const goal = under(work, unit, ours, middle("transformers"), "transformers", ratioMax);
  if (!runs.has("node-llama-cpp")) return [goal];
  return [goal, beside(work, unit, ours, middle("node-llama-cpp"), "node-llama-cpp")];
}

function measure(command: string, script: [name: string, ...rest: string[]]): Run {
  const start = performance.now();
  const stdout = spawnPart(command, script);
  return { ...JSON.parse(stdout), wallMs: performance.now() - start };
}

/** The output of a script of this folder, run to its end on one thread. */
function spawnPart(command: string, [script, ...rest]: [name: string, ...rest: string[]]): string {
  const { stdout, status, stderr } = spawnSync(command, [join(import.meta.dirname, script), ...rest], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  invariant(status === 0, `${script} ends well: ${stderr}`);
  return stdout;
}
