/** What every benchmark returns and how it is printed: a table for people, or one JSON line. */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

/** One measured line. `ratio` = ours / peer; with a peer, `goal` bounds the ratio, without one it bounds `ours`. */
export type Row = {
  work: string;
  unit: string;
  ours: number;
  peer: number | null;
  peerName: string | null;
  ratio: number | null;
  goal: string;
  ok: boolean;
};

export type Benchmark = {
  name: string;
  title: string;
  /** Inputs, repetitions, seed: what another person needs to run the same. */
  conditions: string;
  run: () => Promise<Row[]>;
};

/** A rate against a peer's in the same run; met when ours/peer ≥ `ratioMin`. */
export function compare(
  work: string,
  unit: string,
  ours: number,
  peer: number,
  peerName: string,
  ratioMin: number,
): Row {
  const goal = `≥ ${ratioMin}× ${peerName}`;
  return against({ work, unit, ours, peer, peerName, goal, ok: ours / peer >= ratioMin });
}

/** A time or size against a peer's in the same run; met when ours/peer ≤ `ratioMax`. */
export function under(
  work: string,
  unit: string,
  ours: number,
  peer: number,
  peerName: string,
  ratioMax: number,
): Row {
  const goal = `≤ ${ratioMax}× ${peerName}`;
  return against({ work, unit, ours, peer, peerName, goal, ok: ours / peer <= ratioMax });
}

/** A time or size beside a peer's in the same run, where no goal is set. */
export function beside(work: string, unit: string, ours: number, peer: number, peerName: string): Row {
  return against({ work, unit, ours, peer, peerName, goal: "none", ok: true });
}

/** A rate or time that has no peer. */
export function alone(
  work: string,
  unit: string,
  ours: number,
  goal: { min: number } | { max: number },
): Row {
  const isMet = "min" in goal ? ours >= goal.min : ours <= goal.max;
  const text = "min" in goal ? `≥ ${goal.min}` : `≤ ${goal.max}`;
  return { work, unit, ours, peer: null, peerName: null, ratio: null, goal: `${text} ${unit}`, ok: isMet };
}

function against(row: Omit<Row, "ratio" | "peer"> & { peer: number }): Row {
  return { ...row, ratio: row.ours / row.peer };
}

/** "mean [low, high]", three digits, at most four decimals. */
export function intervalText({ mean, low, high }: { mean: number; low: number; high: number }): string {
  const [a, b, c] = [mean, low, high].map((value) => String(Number(Number(value.toPrecision(3)).toFixed(4))));
  return `${a} [${b}, ${c}]`;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Alternates ours and the peer's `rounds` times so that noise of the machine falls on both; medians, in ms. */
export async function alternate(
  rounds: number,
  ours: () => unknown,
  peer: () => unknown,
): Promise<{ oursMs: number; peerMs: number }> {
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.ours.push(await clockMs(ours));
    times.peer.push(await clockMs(peer));
  }
  return { oursMs: median(times.ours), peerMs: median(times.peer) };
}

export async function clockMs(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** CPU time of the whole process during `work`, in ms: what waiting for a busy machine does not lengthen. */
export async function cpuMs(work: () => unknown): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

export function print(benchmark: Benchmark, rows: Row[]): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  console.log(
    `\n${benchmark.title}\n  machine     ${machine}\n  commit      ${commit}\n  conditions  ${benchmark.conditions}\n`,
  );
  console.table(
    rows.map((row) => ({
      work: row.work,
      ours: `${figure(row.ours)} ${row.unit}`,
      peer: row.peer === null ? "–" : `${figure(row.peer)} ${row.unit} (${row.peerName})`,
      ratio: row.ratio === null ? "–" : row.ratio.toFixed(2),
      goal: row.goal,
      met: row.goal === "none" ? "–" : row.ok ? "yes" : "NO",
    })),
  );
}

function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
