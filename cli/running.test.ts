import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Ports, readConfig } from "./config.ts";
import { readRunningConfig, recordPorts } from "./running.ts";
import { readBirth, writeProcesses } from "./up/processes.ts";

let folder: string;
let demo: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tributary-running-"));
  demo = join(folder, "demo");
  mkdirSync(demo);
});

afterEach(() => rmSync(folder, { recursive: true }));

const config = () => readConfig({ TRIBUTARY_FOLDER: folder, API_PORT: "4001" });

function portsFrom(first: number): Ports {
  const names = Object.keys(config().ports) as (keyof Ports)[];
  return Object.fromEntries(names.map((name, index) => [name, first + index])) as Ports;
}

/** As a system that runs leaves it: this process stands for the supervisor. */
function record(where: string, ports: Ports, birth = readBirth(process.pid)!): Disposable {
  writeProcesses(join(where, "processes.json"), [
    { name: "supervisor", pid: process.pid, birth, stopSignal: "SIGTERM" },
  ]);
  return recordPorts(where, ports);
}

it("keeps what is set where nothing runs", () => {
  expect(readRunningConfig(config())).toEqual(config());
});

it("finds the system in the data folder before the demo beside it, with its ports", () => {
  record(demo, portsFrom(2_000));
  expect(readRunningConfig(config())).toEqual({ ...config(), folder: demo, ports: portsFrom(2_000) });
  record(folder, portsFrom(3_000));
  expect(readRunningConfig(config())).toEqual({ ...config(), ports: portsFrom(3_000) });
});

it("does not believe the record of a supervisor that was killed, or that ended", () => {
  record(demo, portsFrom(2_000), "another boot");
  expect(readRunningConfig(config())).toEqual(config());
  record(demo, portsFrom(2_000))[Symbol.dispose]();
  expect(readRunningConfig(config())).toEqual(config());
});
