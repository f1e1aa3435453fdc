import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createPublicClient, createWalletClient, http, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterEach, beforeEach, expect, it } from "vitest";
import { bytecodes } from "#contracts/bytecode.generated";
import { openTokenAbi } from "#schema/abi/open-token";
import { type ChainOptions, chainService, isChain, produceBlocks, request, saveChain } from "./chain.ts";
import { developmentKey } from "./keys.ts";
import { freePort } from "./ports.ts";
import { Supervisor } from "./supervisor.ts";

let folder: string;
let options: ChainOptions;
let supervisor: Supervisor;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tributary-chain-"));
  options = {
    port: await freePort(),
    statePath: join(folder, "chain.json"),
    blockSeconds: 0.25,
    saveMs: 1_000,
  };
  supervisor = new Supervisor(join(folder, "processes.json"), () => undefined);
});

afterEach(async () => {
  await supervisor.stop();
  rmSync(folder, { recursive: true });
});

it("comes back after kill -9 from its last saved state with blocks, logs and receipts", async () => {
  await supervisor.start(chainService(options));
  await using _ = produceBlocks({ ...options, saveMs: Number.POSITIVE_INFINITY }, () => undefined);
  const url = `http://127.0.0.1:${options.port}`;
  const account = privateKeyToAccount(developmentKey("tester"));
  await request(url, "anvil_setBalance", [account.address, `0x${parseEther("10").toString(16)}`]);
  const chain = createPublicClient({ transport: http(url), cacheTime: 0 });
  const wallet = createWalletClient({ account, transport: http(url) });
  const args = [account.address] as const;
  const hash = await wallet.deployContract({
    abi: openTokenAbi,
    bytecode: bytecodes.openToken,
    args,
    chain: null,
  });
  const receipt = await chain.waitForTransactionReceipt({ hash, pollingInterval: 50 });
  const logs = await chain.getLogs({ fromBlock: 0n });
  expect(logs.length).toBeGreaterThan(0);

  await saveChain(url, options.statePath);
  const saved = await chain.getBlock();
  const pid = supervisor.pidOf("chain")!;
  process.kill(pid, "SIGKILL");
  await expect.poll(() => supervisor.pidOf("chain"), { timeout: 20_000 }).not.toBe(pid);
  await expect
    .poll(() => chain.getBlockNumber().catch(() => -1n), { timeout: 20_000 })
    .toBeGreaterThan(saved.number);

  expect(await chain.getLogs({ fromBlock: 0n })).toEqual(logs);
  expect((await chain.getTransactionReceipt({ hash })).blockHash).toBe(receipt.blockHash);
  expect((await chain.getBlock({ blockNumber: saved.number })).hash).toBe(saved.hash);
  expect((await chain.getBlock({ blockTag: "finalized" })).number).toBeLessThan(await chain.getBlockNumber());
});

it("writes nothing beside its saves, however long it gets", async () => {
  const { command, args } = chainService(options);
  const anvil = spawn(command, args(), { env: { HOME: folder }, stdio: "ignore" });
  const ended = once(anvil, "exit");
  const url = `http://127.0.0.1:${options.port}`;
  await expect.poll(() => isChain(url), { timeout: 20_000 }).toBe(true);
  await request(url, "anvil_mine", ["0x400"]);
  expect(Number(await request(url, "eth_blockNumber", []))).toBe(1_024);
  anvil.kill();
  await ended;
  expect(readdirSync(folder)).not.toContain(".foundry");
});

/** Saves looked at, and what of them is. */
const savesCount = 40;
type SavedState = {
  best_block_number: number;
  blocks: { transactions: unknown[] }[];
  transactions: unknown[];
  accounts: Record<string, { nonce: number }>;
};

it("saves no block in part, whatever is sent meanwhile", async () => {
  await supervisor.start(chainService(options));
  const url = `http://127.0.0.1:${options.port}`;
  const [account] = await request<string[]>(url, "eth_accounts", []);
  await using _ = produceBlocks({ ...options, blockSeconds: 0.02, saveMs: 0 }, () => undefined);
  const blocks = new Set<number>();
  while (blocks.size < savesCount) {
    await request(url, "eth_sendTransaction", [{ from: account, to: account, value: "0x1" }]);
    if (!existsSync(options.statePath)) continue;
    const state = JSON.parse(readFileSync(options.statePath, "utf8")) as SavedState;
    const sent = state.blocks.flatMap(({ transactions }) => transactions).length;
    expect(state.accounts[account!]!.nonce).toBe(sent);
    expect(state.transactions).toHaveLength(sent);
    blocks.add(state.best_block_number);
  }
}, 60_000);

it("mines and saves until told to stop, also where the chain is away for a while", async () => {
  await supervisor.start(chainService(options));
  const url = `http://127.0.0.1:${options.port}`;
  const lines: string[] = [];
  const producer = produceBlocks({ ...options, blockSeconds: 0.05, saveMs: 100 }, (_, line) =>
    lines.push(line),
  );
  await expect.poll(() => existsSync(options.statePath)).toBe(true);
  const pid = supervisor.pidOf("chain")!;
  process.kill(pid, "SIGKILL");
  await expect.poll(() => supervisor.pidOf("chain"), { timeout: 20_000 }).not.toBe(pid);
  const height = () => request<string>(url, "eth_blockNumber", []).then(Number, () => 0);
  const saved = (JSON.parse(readFileSync(options.statePath, "utf8")) as SavedState).best_block_number;
  await expect.poll(height, { timeout: 20_000 }).toBeGreaterThan(saved);
  await producer[Symbol.asyncDispose]();
  expect(lines.join("\n")).toContain("no answer");
  const stopped = await height();
  await sleep(200);
  expect(await height()).toBe(stopped);
});
