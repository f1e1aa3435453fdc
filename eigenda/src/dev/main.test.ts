import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DisperserClient } from "../client/disperser-client.ts";
import { RelayClient } from "../client/relay-client.ts";
import { developmentSrs } from "../kzg/development-srs.ts";
import type { Srs } from "../kzg/srs.ts";
import { accountKey, samplePayload } from "../testing/disperser.ts";

let folder: string;
let srs: Srs;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eigenda-main-"));
  srs = await developmentSrs({ folder, symbolsMax: 16 });
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

it("keeps finished blobs and finishes accepted ones after kill -9", async () => {
  const data = join(folder, "killed");
  const first = await start(["--data-dir", data, "--step-ms", "20"]);
  const port = String(first.ready.port);
  await using client = new DisperserClient({
    url: first.ready.url,
    accountKey,
    chainId: 31337n,
    srs,
    pollMs: 20,
    completeMsMax: 100_000,
  });
  const finished = await client.disperse(samplePayload(100));
  await kill(first.child, "SIGKILL");

  // A frozen server accepts and does not finish: the next kill falls between the two.
  const slow = await start(["--data-dir", data, "--port", port, "--step-ms", "20", "--fault", "slow"]);
  let accepted: () => void = () => undefined;
  const acceptance = new Promise<void>((resolve) => {
    accepted = resolve;
  });
  const pending = client.disperse(samplePayload(200), { onStatus: () => accepted() });
  await acceptance;
  await kill(slow.child, "SIGKILL");
  await writeFile(join(data, "accepted", "half.tmp"), "half");

  const last = await start(["--data-dir", data, "--port", port, "--step-ms", "20"]);
  expect(last.log.join("\n")).toContain("Found 1 finished blobs; going on with 1 that were accepted.");
  const resumed = await pending;
  await using relay = new RelayClient({ relayUrl: () => last.ready.url, srs });
  expect(await relay.retrieve(finished.certificate)).toEqual(samplePayload(100));
  expect(await relay.retrieve(resumed.certificate)).toEqual(samplePayload(200));
  expect((await readdir(join(data, "accepted"))).length).toBe(2);
  await kill(last.child, "SIGKILL");
});

it("says what it is, and exits cleanly when asked", async () => {
  const { child, log, ready } = await start(["--data-dir", join(folder, "clean")]);
  expect(ready).toEqual({
    ready: true,
    url: `http://127.0.0.1:${ready.port}`,
    port: ready.port,
    chainId: 31337,
  });
  const text = log.join("\n");
  for (const words of ["DEVELOPMENT disperser", "no erasure coding", "no custody", "no stake", "forge"]) {
    expect(text).toContain(words);
  }
  expect(await kill(child, "SIGTERM")).toBe(0);
});

it("exits with a message when the port is taken or the arguments are wrong", async () => {
  const { child, ready } = await start(["--data-dir", join(folder, "taken")]);
  const second = await run(["--data-dir", join(folder, "other"), "--port", String(ready.port)]);
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(`Port ${ready.port} is in use`) });
  // Also where blobs are open: without its port it must not go on with them.
  const open = join(folder, "open");
  await mkdir(join(open, "accepted"), { recursive: true });
  await writeFile(join(open, "accepted", "00".repeat(32)), "");
  const third = await run(["--data-dir", open, "--port", String(ready.port), "--fault", "slow"]);
  expect(third.code).toBe(1);
  await kill(child, "SIGTERM");
  expect(await run(["--port", "0"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--data-dir"),
  });
  expect(await run(["--data-dir", folder, "--fault", "none-such"])).toMatchObject({ code: 2 });
  const wrong = { "--bogus": "Unknown option '--bogus'", "--account=zz": 'Address "zz" is invalid.' };
  for (const [option, message] of Object.entries(wrong)) {
    const { code, stderr } = await run(["--data-dir", folder, option]);
    expect([code, stderr.split("\n")[0]]).toEqual([2, message]);
  }
});

function spawnMain(parameters: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...parameters], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  const log: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  return { child, log };
}

async function start(parameters: string[]) {
  const { child, log } = spawnMain(parameters);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  return {
    child,
    log,
    ready: JSON.parse(line) as { ready: boolean; url: string; port: number; chainId: number },
  };
}

async function run(parameters: string[]) {
  const { child, log } = spawnMain(parameters);
  const [code] = (await once(child, "close")) as [number];
  children.delete(child);
  return { code, stderr: log.join("\n") };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, "close");
  child.kill(signal);
  const [code] = (await exited) as [number | null];
  children.delete(child);
  return code;
}
