import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "#cli/config";
import { removePostgres } from "#cli/up/postgres";
import { endLeftovers } from "#cli/up/processes";
import { invariant } from "#schema/errors";
import { alone, type Benchmark, type Row } from "./report.ts";

const totalSecondsMax = 300;

/** Of the record that a demo leaves at its end. */
type Finished = { conserved: boolean; verdict: string; timingsMs: Record<string, number> };

export const benchmark: Benchmark = {
  name: "demo",
  title: "The whole job once, from an empty folder to verified payouts: wall time by hop",
  conditions: [
    "npm run demo -- --fresh, default plan: 32 questions, seed 7, 2 epochs, blocks of 0.25 s, challenge window 3 s",
    "one run, nothing cached: the start initialises PostgreSQL, deploys the contracts and derives the structured reference string",
    "a run that is not conserved to the wei and verified gives no figures",
  ].join("; "),
  run: async () => {
    const folder = mkdtempSync(join(tmpdir(), "tributary-bench-"));
    // The database's own user has to enter it.
    chmodSync(folder, 0o755);
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => remove(folder));
    const start = performance.now();
    await runDemo(folder);
    const totalMs = performance.now() - start;
    const finished: Finished = JSON.parse(readFileSync(join(folder, "demo", "finished"), "utf8"));
    invariant(
      finished.conserved && finished.verdict === "valid",
      "the demo's payouts are conserved and valid",
    );
    const hops = Object.entries(finished.timingsMs).map(([hop, ms]) => seconds(hop, ms));
    return [...hops, seconds("total, with loading and stopping", totalMs)];
  },
};

/** A hop is bounded by the whole alone. */
function seconds(work: string, ms: number): Row {
  return alone(work, "s", ms / 1000, { max: totalSecondsMax });
}

async function runDemo(folder: string): Promise<void> {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), "demo", "--fresh", "--json"], {
    env: { ...process.env, TRIBUTARY_FOLDER: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "close");
  invariant(code === 0, `the demo ended with ${code}: ${output}`);
}

async function remove(folder: string): Promise<void> {
  const demo = join(folder, "demo");
  await endLeftovers(join(demo, "processes.json"));
  removePostgres(demo);
  rmSync(folder, { recursive: true });
}
