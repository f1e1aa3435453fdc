/** Whole demos as processes, and kill -9 of their parts. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { root } from "../config.ts";
import { chainUrl, request } from "../up/chain.ts";
import { removePostgres } from "../up/postgres.ts";
import {
  endLeftovers,
  endProcess,
  isAlive,
  leftoverStopMs,
  type ProcessRecord,
  readProcesses,
} from "../up/processes.ts";

/** What a demo leaves in its folder at its end, as far as the tests look. */
export type Finished = {
  conserved: boolean;
  verdict: string;
  documents: number;
  contributors: number;
  roots: { epoch: string; rewardRoot: string; attributionRoot: string }[];
  content: { hash: string };
  trainingRow: { chunkId: string; amountWei: string } | null;
  timingsMs: Record<string, number>;
};

export type Run = {
  folder: string;
  child: ChildProcess;
  ended: Promise<number | null>;
  output: () => string;
};

/** A transaction of a block that no save of the chain holds. */
export type Lost = { from: string; to: string; data: string };

/** Two epochs of four questions about twelve contributions and three thin ones: a minute on two idle cores. */
export const smallPlan = [
  ...["--contributions", "12", "--documents", "2", "--chunks", "3"],
  ...["--questions", "8", "--batch", "2", "--epoch", "2"],
];

/** The same without an adapter: what two such demos come to is equal to the byte. */
export const comparablePlan = [...smallPlan, "--no-adapter"];

/** Every process of a demo. */
export const victims = [
  ...["postgres", "chain", "disperser", "indexer", "engine"],
  ...["serving", "settlement", "api", "supervisor"],
];

const lookMs = 25;
/** Time a process has to come (back), and the chain to have something to lose, in ms. */
const patienceMs = 300_000;

/** A folder the database's user can enter, since only root may enter what mkdtemp makes. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tributary-demo-"));
  chmodSync(folder, 0o755);
  return folder;
}

/** Ends what still runs in the folder, where a test failed halfway, and removes it. */
export async function removeFolder(folder: string): Promise<void> {
  const demo = join(folder, "demo");
  const supervisor = readProcesses(join(demo, "processes.json")).find(({ name }) => name === "supervisor");
  if (supervisor) await endProcess(supervisor, leftoverStopMs);
  await endLeftovers(join(demo, "processes.json"));
  removePostgres(demo);
  rmSync(folder, { recursive: true });
}

export function startDemo(folder: string, options: readonly string[]): Run {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), "demo", ...options], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TRIBUTARY_FOLDER: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { folder, child, ended, output: () => output };
}

/** What the demo left once it ended with 0; anything else fails the test with its last words. */
export async function finish(run: Run): Promise<Finished> {
  expect(await run.ended, `${run.output()}\n${logTail(run.folder)}`).toBe(0);
  return JSON.parse(readFileSync(join(run.folder, "demo", "finished"), "utf8")) as Finished;
}

/** Waits until the demo has done a hop. */
export async function untilHop(run: Run, hop: string): Promise<void> {
  await untilSaid(run, `✓ ${hop} `);
}

/** Waits until the demo has printed this. */
export async function untilSaid(run: Run, text: string): Promise<void> {
  await until(`"${text}"`, run, () => run.output().includes(text));
}

/** Kills one process with SIGKILL, waiting for it to run. The chain is killed by `killChain`. */
export async function kill(run: Run, victim: string): Promise<ProcessRecord> {
  const record = await untilRunning(run, victim);
  process.kill(record.pid, "SIGKILL");
  return record;
}

/** Waits until the supervisor has started a killed process again. */
export async function untilBack(run: Run, { name, pid }: ProcessRecord): Promise<void> {
  await until(`${name} to be back`, run, () => {
    const record = findProcess(run, name);
    return record !== undefined && record.pid !== pid && isAlive(record);
  });
}

/**
 * Kills the chain between two saves, as soon as it has a transaction in a block that the last one does not hold.
 * @returns The transactions that are lost with it.
 */
export async function killChain(run: Run): Promise<{ record: ProcessRecord; lost: Lost[] }> {
  const record = await untilRunning(run, "chain");
  const url = chainUrl(record);
  const statePath = join(run.folder, "demo", "chain.json");
  let savedAt = statSync(statePath).mtimeMs;
  let saved = await blockNumber(url);
  let lost: Lost[] = [];
  await until("a transaction in a block not saved", run, async () => {
    if (statSync(statePath).mtimeMs !== savedAt) {
      savedAt = statSync(statePath).mtimeMs;
      saved = await blockNumber(url); // No lower than the block that was saved.
      return false;
    }
    lost = await transactionsAfter(url, saved);
    return lost.length > 0 && statSync(statePath).mtimeMs === savedAt;
  });
  process.kill(record.pid, "SIGKILL");
  expect(savedBlock(statePath), "the kill came before the next save").toBeLessThanOrEqual(saved);
  return { record, lost };
}

/** All calls of the chain that a finished demo saved. */
export function savedCalls(folder: string): Lost[] {
  const { transactions } = JSON.parse(readFileSync(join(folder, "demo", "chain.json"), "utf8"));
  return transactions.map(({ info }: { info: SavedTransaction }) => ({
    from: info.from.toLowerCase(),
    to: info.to?.toLowerCase() ?? "",
    data: info.traces[0]?.trace.data ?? "",
  }));
}

type SavedTransaction = { from: string; to: string | null; traces: { trace: { data: string } }[] };

/** Numbers in [0, 1): a linear congruential generator with the constants of minstd, the same for the same seed. */
export function createRandom(seed: number): () => number {
  let state = (seed * 7919) % 2_147_483_647;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

async function untilRunning(run: Run, name: string): Promise<ProcessRecord> {
  await until(`${name} to run`, run, () => {
    const record = findProcess(run, name);
    return record !== undefined && isAlive(record);
  });
  return findProcess(run, name)!;
}

function findProcess({ folder }: Run, name: string): ProcessRecord | undefined {
  return readProcesses(join(folder, "demo", "processes.json")).find((record) => record.name === name);
}

async function until(what: string, run: Run, look: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await look()); await sleep(lookMs)) {
    if (Date.now() < deadline && run.child.exitCode === null && run.child.signalCode === null) continue;
    expect.fail(`waited in vain for ${what}: ${run.output()}\n${logTail(run.folder)}`);
  }
}

async function blockNumber(url: string): Promise<number> {
  return Number(await request<string>(url, "eth_blockNumber", []));
}

type Block = { transactions: { from: string; to: string | null; input: string }[] };

async function transactionsAfter(url: string, saved: number): Promise<Lost[]> {
  const lost: Lost[] = [];
  for (let number = saved + 1; number <= (await blockNumber(url)); number++) {
    const hex = `0x${number.toString(16)}`;
    const { transactions } = await request<Block>(url, "eth_getBlockByNumber", [hex, true]);
    lost.push(...transactions.map(({ from, to, input }) => ({ from, to: to ?? "", data: input })));
  }
  return lost;
}

function savedBlock(statePath: string): number {
  return JSON.parse(readFileSync(statePath, "utf8")).best_block_number as number;
}

/** Its last lines; none where the demo did not come so far. */
function logTail(folder: string): string {
  const path = join(folder, "demo", "demo.log");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(-60).join("\n") : "";
}
