import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type Config, type Ports, readConfig } from "./config.ts";
import { isAlive, readProcesses } from "./up/processes.ts";

const port = z.int().min(1).max(65_535);
const portsFile = z.object({
  postgres: port,
  chain: port,
  disperser: port,
  indexer: port,
  engine: port,
  serving: port,
  settlement: port,
  api: port,
}) satisfies z.ZodType<Ports>;

/**
 * The configuration of commands that look at a system: folder and ports of the one that runs in the data folder,
 * otherwise of the demo that was kept in its `demo/`, otherwise as set. Servers named by a URL stay as set.
 */
export function readRunningConfig(config: Config = readConfig()): Config {
  for (const folder of [config.folder, join(config.folder, "demo")]) {
    const ports = readRunningPorts(folder);
    if (ports !== null) return { ...config, folder, ports };
  }
  return config;
}

/**
 * Records the ports of a system that is up and left running, whole or not at all; disposing removes the record. A demo
 * at work has none: a stranger's question in its midst would shift its batches.
 */
export function recordPorts(folder: string, ports: Ports): Disposable {
  const path = portsPath(folder);
  writeFileSync(`${path}.new`, JSON.stringify(ports));
  renameSync(`${path}.new`, path);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** A record outlives a killed supervisor, so that only a supervisor that runs makes it true. */
function readRunningPorts(folder: string): Ports | null {
  const supervisor = readProcesses(join(folder, "processes.json")).find(({ name }) => name === "supervisor");
  if (supervisor === undefined || !isAlive(supervisor)) return null;
  try {
    return portsFile.parse(JSON.parse(readFileSync(portsPath(folder), "utf8")));
  } catch (error) {
    // It ended between the two looks.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function portsPath(folder: string): string {
  return join(folder, "ports.json");
}
