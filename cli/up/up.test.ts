import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { root } from "../config.ts";
import { request } from "./chain.ts";
import { freePorts } from "./ports.ts";
import { removePostgres } from "./postgres.ts";
import { endLeftovers, isAlive, readProcesses } from "./processes.ts";

const settings = [
  ...["POSTGRES_PORT", "RPC_PORT", "DISPERSER_PORT", "INDEXER_PORT", "ENGINE_METRICS_PORT"],
  ...["SERVING_PORT", "SETTLEMENT_METRICS_PORT", "API_PORT"],
];
const startMsMax = 240_000;

let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tributary-up-"));
  chmodSync(folder, 0o755); // The database's user must be able to pass.
  env = { PATH: process.env.PATH ?? "", TRIBUTARY_FOLDER: folder, BLOCK_SECONDS: "0.5" };
  const ports = await freePorts(settings.length);
  for (const [index, setting] of settings.entries()) env[setting] = String(ports[index]);
});

afterEach(async () => {
  await endLeftovers(join(folder, "processes.json"));
  removePostgres(folder);
  rmSync(folder, { recursive: true });
});

function up(): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), "up"], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  return { child, output: () => output, ended: new Promise((resolve) => child.once("close", resolve)) };
}

async function untilRunning(run: ReturnType<typeof up>): Promise<void> {
  const isSettled = () => run.output().includes("Ctrl-C stops everything") || run.child.exitCode !== null;
  await expect.poll(isSettled, { timeout: startMsMax, interval: 250 }).toBe(true);
  expect(run.child.exitCode, run.output()).toBe(null);
}

it("serves every part, survives kill -9 of the supervisor, goes on with its chain and stops without a trace", async () => {
  const first = up();
  await untilRunning(first);
  for (const [port, path] of [
    [env.API_PORT, "/health"],
    [env.SERVING_PORT, "/v1/models"],
    [env.SETTLEMENT_METRICS_PORT, "/metrics"],
  ]) {
    expect((await fetch(`http://127.0.0.1:${port}${path}`)).status, path).toBe(200);
  }
  const rpcUrl = `http://127.0.0.1:${env.RPC_PORT}`;
  const block = await request<{ hash: string }>(rpcUrl, "eth_getBlockByNumber", ["0x2", false]);
  const orphans = readProcesses(join(folder, "processes.json")).slice(1);
  expect(orphans).toHaveLength(8);
  first.child.kill("SIGKILL");
  await first.ended;

  const second = up();
  await untilRunning(second);
  expect(orphans.filter(isAlive)).toEqual([]);
  expect(second.output()).toMatch(/ended a leftover of a killed run/);
  expect((await request<{ hash: string }>(rpcUrl, "eth_getBlockByNumber", ["0x2", false])).hash).toBe(
    block.hash,
  );

  const records = readProcesses(join(folder, "processes.json"));
  second.child.kill("SIGINT");
  expect(await second.ended).toBe(0);
  expect(records.filter(isAlive)).toEqual([]);
  expect(existsSync(join(folder, "processes.json"))).toBe(false);
}, 600_000);

it("names the port that is in use and the setting that moves it, and starts nothing", async () => {
  const server = createServer().listen(Number(env.API_PORT), "127.0.0.1");
  const run = up();
  expect(await run.ended).toBe(1);
  expect(run.output()).toMatch(
    new RegExp(`Port ${env.API_PORT} for the GraphQL API is in use.*API_PORT=<port>`),
  );
  expect(existsSync(join(folder, "postgres.json"))).toBe(false);
  server.close();
});

it("names a missing model folder and the remedy", async () => {
  env.MODEL_FOLDER = join(folder, "nowhere");
  const run = up();
  expect(await run.ended).toBe(1);
  expect(run.output()).toMatch(/nowhere.config\.json is missing.*MODEL_FOLDER/);
});
