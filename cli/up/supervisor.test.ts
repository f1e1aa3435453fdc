import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { expectFreePort, freePort, freePorts, PortInUseError } from "./ports.ts";
import {
  AlreadyRunningError,
  endLeftovers,
  isAlive,
  type ProcessRecord,
  readBirth,
  readProcesses,
  writeProcesses,
} from "./processes.ts";
import { restartLimits, type Service, ServiceFailedError, Supervisor } from "./supervisor.ts";

let folder: string;
let path: string;
let lines: string[];
let supervisor: Supervisor;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tributary-supervisor-"));
  path = join(folder, "processes.json");
  lines = [];
  supervisor = new Supervisor(path, (name, line) => lines.push(`${name}: ${line}`));
});

afterEach(async () => {
  await supervisor.stop();
  rmSync(folder, { recursive: true });
});

/** A Node process that runs `source`, ready once it has written the file `<name>.ready`. */
function tiny(name: string, source: string, options: Partial<Service> = {}): Service {
  const readyPath = join(folder, `${name}.ready`);
  const script = `require("fs").writeFileSync(${JSON.stringify(readyPath)}, ""); ${source}`;
  return {
    name,
    command: process.execPath,
    args: () => ["-e", script],
    env: {},
    beforeStart: async () => rmSync(readyPath, { force: true }),
    isReady: async () => existsSync(readyPath),
    readyMsMax: 10_000,
    ...options,
  };
}

const stayAlive = "setInterval(() => {}, 1000);";

function recordOf(name: string): ProcessRecord {
  return readProcesses(path).find((record) => record.name === name)!;
}

it("prefixes what a process prints with its name", async () => {
  await supervisor.start(tiny("alpha", `console.log("hello"); ${stayAlive}`));
  await expect.poll(() => lines).toContain("alpha: hello");
});

it("restarts a crashed process", async () => {
  await supervisor.start(tiny("alpha", stayAlive));
  const before = recordOf("alpha");
  process.kill(before.pid, "SIGKILL");
  await expect.poll(() => recordOf("alpha").pid, { timeout: 10_000 }).not.toBe(before.pid);
  await expect.poll(() => isAlive(recordOf("alpha"))).toBe(true);
});

it("gives up on a process that crashes again and again, and says why", async () => {
  const counter = join(folder, "count");
  const crash = `const fs = require("fs"); fs.appendFileSync(${JSON.stringify(counter)}, "x"); console.error("no disk"); setTimeout(() => process.exit(3), 200);`;
  const impatient = new Supervisor(path, () => undefined, { ...restartLimits, countMax: 2, delayMs: 10 });
  await impatient.start(tiny("alpha", crash));
  await expect(impatient.failed).rejects.toThrow(/crashed 3 times[\s\S]*no disk/);
  expect(readFileSync(counter, "utf8")).toBe("xxx");
});

it("reports a process that exits before it is ready with its last lines", async () => {
  const service = tiny("alpha", "", { args: () => ["-e", `console.error("missing file"); process.exit(1)`] });
  await expect(supervisor.start(service)).rejects.toThrow(ServiceFailedError);
  await expect(supervisor.start(service)).rejects.toThrow(/missing file/);
});

it("stops in reverse order, by each process's own signal, and leaves no record", async () => {
  const tell = (signal: string) =>
    `process.on("${signal}", () => { console.log("${signal}"); process.exit(0); });`;
  await supervisor.start(tiny("alpha", tell("SIGTERM") + stayAlive));
  await supervisor.start(tiny("beta", tell("SIGINT") + stayAlive, { stopSignal: "SIGINT" }));
  const records = readProcesses(path).filter(({ name }) => name !== "supervisor");
  await supervisor.stop();
  expect(lines.filter((line) => line.endsWith("stopped"))).toEqual(["beta: stopped", "alpha: stopped"]);
  await expect.poll(() => lines).toContain("beta: SIGINT");
  expect(lines).toContain("alpha: SIGTERM");
  expect(records.map(isAlive)).toEqual([false, false]);
  expect(existsSync(path)).toBe(false);
});

it("ends what a killed supervisor left behind and spares a stranger with a recorded pid", async () => {
  const orphan = spawn(process.execPath, ["-e", stayAlive], { detached: true, stdio: "ignore" });
  const stranger = spawn(process.execPath, ["-e", stayAlive], { detached: true, stdio: "ignore" });
  const ours = {
    name: "orphan",
    pid: orphan.pid!,
    birth: readBirth(orphan.pid!)!,
    stopSignal: "SIGTERM" as const,
  };
  const reused = {
    name: "reused",
    pid: stranger.pid!,
    birth: "another boot:1",
    stopSignal: "SIGTERM" as const,
  };
  writeProcesses(path, [ours, reused]);
  expect(await endLeftovers(path)).toEqual([ours]);
  expect(isAlive(ours)).toBe(false);
  expect(readBirth(stranger.pid!)).toBeDefined();
  expect(existsSync(path)).toBe(false);
  stranger.kill("SIGKILL");
});

it("refuses a second supervisor on the same folder while the first lives", async () => {
  const first = spawn(process.execPath, ["-e", stayAlive], { stdio: "ignore" });
  const birth = readBirth(first.pid!)!;
  writeProcesses(path, [{ name: "supervisor", pid: first.pid!, birth, stopSignal: "SIGTERM" }]);
  await expect(endLeftovers(path)).rejects.toThrow(AlreadyRunningError);
  expect(readBirth(first.pid!)).toBe(birth);
  first.kill("SIGKILL");
});

it("treats a torn record as empty", () => {
  writeFileSync(path, '[{"name": "al');
  expect(readProcesses(path)).toEqual([]);
});

it("finds so many free ports that are all different", async () => {
  expect(new Set(await freePorts(64)).size).toBe(64);
});

it("names the setting that moves a port in use", async () => {
  const port = await freePort();
  const server = await new Promise<Server>((resolve) => {
    const listening = createServer().listen(port, "127.0.0.1", () => resolve(listening));
  });
  await expect(expectFreePort(port, "the API", "API_PORT")).rejects.toThrow(PortInUseError);
  await expect(expectFreePort(port, "the API", "API_PORT")).rejects.toThrow(/API_PORT=<port>/);
  server.close();
});
