import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { detectCpuIsa } from "#runtime/inference/profile";

/** Trainings of one set of made-up records in processes of their own (testing/train.ts), some killed on the way. */
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tributary-training-"));
});

afterAll(() => rm(root, { recursive: true, force: true }));

it("ends in the same adapter and waypoints whether or not its process was killed, again and again", async () => {
  const undisturbed = await finish(start(join(root, "alone")));
  const folder = join(root, "killed");
  for (const step of [3, 7, 8, 13]) await killAt(start(folder), step);
  expect(await finish(start(folder))).toBe(undisturbed);
  const profiles = [folder, join(root, "alone")].map((each) =>
    readFileSync(join(each, "profile.json"), "utf8"),
  );
  expect(new Set(profiles).size).toBe(1);
  expect(JSON.parse(profiles[0]!)).toMatchObject({ provider: "cpu", cpuIsa: await detectCpuIsa() });
}, 600_000);

function start(folder: string): ChildProcess {
  const script = resolve(import.meta.dirname, "testing/train.ts");
  return spawn(process.execPath, [script, folder], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Kills with SIGKILL once it tells of this step, or of a later one where it went on from there. */
async function killAt(child: ChildProcess, step: number): Promise<void> {
  for await (const line of createInterface(child.stdout!)) {
    if (!line.startsWith("step ") || Number(line.slice(5)) < step) continue;
    child.kill("SIGKILL");
    break;
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  expect(child.signalCode, "it was killed before its end").toBe("SIGKILL");
}

/** @returns the hashes of the adapter it leaves and of its four waypoints. */
async function finish(child: ChildProcess): Promise<string> {
  let hash = "";
  for await (const line of createInterface(child.stdout!)) if (line.startsWith("adapter ")) hash = line;
  expect(hash).toMatch(/^adapter 0x[0-9a-f]{64}( 0x[0-9a-f]{64} [0-9a-f]{64}){4}$/);
  return hash;
}
