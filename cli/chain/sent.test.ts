import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPublicClient, createWalletClient, http, parseEther, toHex } from "viem";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ChainOptions, chainService, produceBlocks, request, saveChain } from "../up/chain.ts";
import { freePort } from "../up/ports.ts";
import { accountOf } from "../up/stack.ts";
import { Supervisor } from "../up/supervisor.ts";
import { Sent } from "./sent.ts";
import type { Chain } from "./transactions.ts";

const payer = accountOf("tester");

let folder: string;
let options: ChainOptions;
let supervisor: Supervisor;
let producer: AsyncDisposable;
let chain: Chain;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tributary-sent-"));
  const port = await freePort();
  options = {
    port,
    statePath: join(folder, "chain.json"),
    blockSeconds: 0.25,
    saveMs: Number.POSITIVE_INFINITY,
  };
  supervisor = new Supervisor(join(folder, "processes.json"), () => undefined);
  await supervisor.start(chainService(options));
  producer = produceBlocks(options, () => undefined);
  const rpcUrl = `http://127.0.0.1:${port}`;
  await request(rpcUrl, "anvil_setBalance", [payer.address, toHex(parseEther("10"))]);
  const client = createPublicClient({ transport: http(rpcUrl), cacheTime: 0 }) as Chain["client"];
  const contracts = {} as Chain["deployment"]["contracts"];
  chain = { rpcUrl, client, deployment: { contracts } as Chain["deployment"] };
});

afterEach(async () => {
  await producer[Symbol.asyncDispose]();
  await supervisor.stop();
  rmSync(folder, { recursive: true });
});

/** A step that pays one wei to the account of that name unless it has it. */
function payOnce(label: string, paid: string[]): () => Promise<void> {
  const { address: to } = accountOf(label);
  return async () => {
    if ((await chain.client.getBalance({ address: to })) > 0n) return;
    const wallet = createWalletClient({ account: payer, transport: http(chain.rpcUrl) });
    const hash = await wallet.sendTransaction({ to, value: 1n, chain: null });
    await chain.client.waitForTransactionReceipt({ hash, pollingInterval: 50 });
    paid.push(label);
  };
}

it("sends again what a killed chain had not saved, and nothing that it had", async () => {
  const paid: string[] = [];
  const sent = new Sent(chain);
  await sent.add(payOnce("first", paid));
  await saveChain(chain.rpcUrl, options.statePath);
  await sent.add(payOnce("second", paid));
  process.kill(supervisor.pidOf("chain")!, "SIGKILL");
  await sent.add(async () => undefined);
  expect(paid).toEqual(["first", "second", "second"]);
  expect(await chain.client.getBalance({ address: accountOf("second").address })).toBe(1n);
});

it("throws what a step throws on a chain that lost nothing", async () => {
  const sent = new Sent(chain);
  await sent.add(async () => undefined);
  await expect(sent.add(() => Promise.reject(new RangeError("no such thing")))).rejects.toThrow(RangeError);
});
