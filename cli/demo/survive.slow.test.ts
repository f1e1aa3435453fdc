/**
 * The demo under kill -9. Slow (some minutes each): `npm run test:survive`, or one with
 * `npm run test:survive -- -t engine`. The seed of the random moments is SURVIVE_SEED.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../config.ts";
import { removePostgres } from "../up/postgres.ts";
import { endLeftovers, isAlive, readProcesses } from "../up/processes.ts";

type Root = { epoch: string; rewardRoot: string; attributionRoot: string };
type Record = { conserved: boolean; verdict: string; roots: Root[]; content: { hash: string } };

const seed = Number(process.env.SURVIVE_SEED ?? 1);
const demoMsMax = 1_200_000;
/** Kills fall into this span after everything serves, in ms: contributing to claiming on two cores. */
const killMs = { min: 2_000, max: 100_000 };
const victims = [
  "postgres",
  "chain",
  "disperser",
  "indexer",
  "engine",
  "serving",
  "settlement",
  "api",
  "supervisor",
];

const folders: string[] = [];
let undisturbed: Record;

beforeAll(async () => {
  undisturbed = await finishDemo(newFolder());
}, demoMsMax);

afterAll(async () => {
  for (const folder of folders) {
    const demo = join(folder, "demo");
    await endLeftovers(join(demo, "processes.json"));
    removePostgres(demo);
    rmSync(folder, { recursive: true });
  }
});

it.each(victims.map((victim, index) => ({ victim, moment: momentOf(index) })))(
  "finishes with the same roots when $victim is killed at $moment ms, and all of it rebuilds",
  async ({ victim, moment }) => {
    const folder = newFolder();
    const demo = startDemo(folder);
    await untilServing(folder, demo);
    await sleep(moment);
    kill(folder, victim);
    if (victim === "supervisor") await demo.ended;
    const record = victim === "supervisor" ? await finishDemo(folder) : await recordOf(folder, demo);
    expect(record).toMatchObject({ conserved: true, verdict: "valid" });
    expect(record.roots).toEqual(undisturbed.roots);
    expect(record.content.hash).toBe(undisturbed.content.hash);
  },
  2 * demoMsMax,
);

type Demo = { child: ChildProcess; ended: Promise<number | null>; output: () => string };

function startDemo(folder: string): Demo {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), "demo", "--rebuild"], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TRIBUTARY_FOLDER: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, ended, output: () => output };
}

async function finishDemo(folder: string): Promise<Record> {
  return recordOf(folder, startDemo(folder));
}

async function recordOf(folder: string, demo: Demo): Promise<Record> {
  expect(await demo.ended, demo.output()).toBe(0);
  return JSON.parse(readFileSync(join(folder, "demo", "finished"), "utf8")) as Record;
}

async function untilServing(folder: string, demo: Demo): Promise<void> {
  const isServing = () => demo.output().includes("start") || demo.child.exitCode !== null;
  for (const deadline = Date.now() + demoMsMax; Date.now() < deadline && !isServing(); ) await sleep(100);
  expect(existsSync(join(folder, "demo", "processes.json")), demo.output()).toBe(true);
}

function kill(folder: string, victim: string): void {
  const record = readProcesses(join(folder, "demo", "processes.json")).find(({ name }) => name === victim);
  expect(record && isAlive(record), `${victim} runs`).toBe(true);
  process.kill(record!.pid, "SIGKILL");
}

/** A folder the database's user can enter, since only root may enter what mkdtemp makes. */
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tributary-survive-"));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

/** Moment of kill number `index` in ms: a linear congruential step of the seed, the same in every run. */
function momentOf(index: number): number {
  const random = ((seed * 7919 + index * 104_729) * 48_271) % 2_147_483_647;
  return killMs.min + (random % (killMs.max - killMs.min));
}
