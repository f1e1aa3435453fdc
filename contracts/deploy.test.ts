import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Address, keccak256, parseEther, toHex, zeroHash } from "viem";
import { afterEach, beforeEach, expect, it } from "vitest";
import { wrappedOpenAbi } from "#schema/abi/wrapped-open";
import { readDeployment } from "#schema/deployment";
import { invariant } from "#schema/errors";
import {
  chainClient,
  devAccount,
  startAnvil,
  type TestChain,
  until,
  walletClient,
} from "#schema/testing/stack";
import {
  abis,
  contractAddresses,
  type DeployConfig,
  DeploymentMismatchError,
  deploy,
  dryRun,
} from "./deploy.ts";

const account = devAccount(9);
const config: DeployConfig = {
  nodeBps: 2_000,
  treasuryBps: 500,
  treasury: devAccount(7).address,
  poster: devAccount(8).address,
  arbiter: devAccount(6).address,
  guardian: devAccount(5).address,
  challengeWindowSeconds: 60,
  arbitrationTimeoutSeconds: 120,
  bondAmountWei: parseEther("1"),
  unstakeCooldownSeconds: 30,
  nodeStakeMinWei: 0n,
  faultBondWei: parseEther("1"),
  answerWindowSeconds: 60,
  votingDelaySeconds: 1,
  votingPeriodSeconds: 60,
  timelockDelaySeconds: 1,
};

let folder: string;
let anvil: TestChain;
let addressesFile: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-deploy-"));
  addressesFile = join(folder, "nested", "addresses.json");
  anvil = await startAnvil();
});

afterEach(async () => {
  await anvil[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it("deploys to the addresses known beforehand and writes them where the other processes read them", async () => {
  const deployment = await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  expect(deployment.contracts).toEqual(contractAddresses(account.address));
  expect(deployment).toMatchObject({ chainId: 31_337, deployBlock: 1 });
  expect(readDeployment(addressesFile)).toEqual(deployment);
  expect(await readdir(join(folder, "nested"))).toEqual(["addresses.json"]);
});

it("leaves the deployer no role, and each role to whom the configuration names", async () => {
  const { contracts } = await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  const holders = [contracts.timelock, config.poster, config.arbiter, config.guardian];
  const client = chainClient(anvil.rpcUrl);
  const hasRole = async (role: number, holder: Address) => {
    const call = { address: contracts.permissions, abi: abis.permissions, functionName: "hasRole" } as const;
    return (await client.readContract({ ...call, args: [BigInt(role), holder] }))[0];
  };
  for (const [role, holder] of holders.entries()) {
    expect(await hasRole(role, holder), `role ${role}`).toBe(true);
    expect(await hasRole(role, account.address), `deployer, role ${role}`).toBe(false);
  }
  const timelock = { address: contracts.timelock, abi: abis.timelock, functionName: "hasRole" } as const;
  const proposer = keccak256(toHex("PROPOSER_ROLE"));
  expect(await client.readContract({ ...timelock, args: [zeroHash, account.address] })).toBe(false);
  expect(await client.readContract({ ...timelock, args: [proposer, account.address] })).toBe(false);
  expect(await client.readContract({ ...timelock, args: [proposer, contracts.governor] })).toBe(true);
});

it("sends nothing the second time", async () => {
  const first = await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  const blockNumber = await chainClient(anvil.rpcUrl).getBlockNumber();
  expect(await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile })).toEqual(first);
  expect(await chainClient(anvil.rpcUrl).getBlockNumber()).toBe(blockNumber);
});

it("continues after a failure in the middle", async () => {
  const proxy = await startFailingProxy(anvil.rpcUrl, 4);
  await expect(deploy({ rpcUrl: proxy.rpcUrl, account, config, addressesFile })).rejects.toThrow();
  proxy.server.close();
  const client = chainClient(anvil.rpcUrl);
  expect(await client.getTransactionCount({ address: account.address })).toBe(3);
  const { contracts } = await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  expect(contracts).toEqual(contractAddresses(account.address));
  expect(await client.getTransactionCount({ address: account.address })).toBe(Object.keys(abis).length + 1);
});

it("is killed midway, and the next run goes on where it was", async () => {
  const proxy = await startFailingProxy(anvil.rpcUrl, 6, "silent");
  const environment = await commandEnvironment(proxy.rpcUrl);
  const first = spawn(process.execPath, [commandPath], { env: environment, stdio: "ignore" });
  const client = chainClient(anvil.rpcUrl);
  const { address } = account;
  await until(
    "five transactions are sent",
    async () => (await client.getTransactionCount({ address })) === 5,
  );
  first.kill("SIGKILL");
  await once(first, "exit");
  proxy.server.closeAllConnections();
  proxy.server.close();
  const second = await runCommand({ ...environment, RPC_URL: anvil.rpcUrl });
  expect(second).toMatchObject({ code: 0 });
  expect(readDeployment(addressesFile).contracts).toEqual(contractAddresses(address));
  expect(await client.getTransactionCount({ address })).toBe(Object.keys(abis).length + 1);
});

it("runs dry: says what each step costs, finds what would fail, and sends nothing", async () => {
  const dry = await dryRun({ rpcUrl: anvil.rpcUrl, deployer: account.address, config });
  expect(dry.contracts).toEqual(contractAddresses(account.address));
  expect(dry.steps.map(({ name }) => name)).toEqual([...Object.keys(abis), "handOver"]);
  expect(dry.steps.every(({ gas }) => gas !== null && gas > 50_000n && gas < 9_000_000n)).toBe(true);
  const client = chainClient(anvil.rpcUrl);
  expect(await client.getTransactionCount({ address: account.address })).toBe(0);
  const wrong = dryRun({
    rpcUrl: anvil.rpcUrl,
    deployer: account.address,
    config: { ...config, nodeBps: 9_999, treasuryBps: 2 },
  });
  await expect(wrong).rejects.toThrow(/would revert at settlementHub/);
  await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  const after = await dryRun({ rpcUrl: anvil.rpcUrl, deployer: account.address, config });
  expect(after.steps.every(({ gas }) => gas === null)).toBe(true);
});

it("finds every parameter that differs from the configuration", async () => {
  await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  const numbers = Object.entries(config).filter(([, value]) => typeof value !== "string");
  const changed: Partial<DeployConfig>[] = [
    ...numbers.map(([name, value]) => ({
      [name]: typeof value === "bigint" ? value + 1n : (value as number) + 1,
    })),
    ...["treasury", "poster", "arbiter", "guardian", "daCertAnchor", "messenger"].map((name) => ({
      [name]: devAccount(1).address,
    })),
  ];
  expect(changed.length).toBeGreaterThan(15);
  for (const change of changed) {
    const wrong = deploy({ rpcUrl: anvil.rpcUrl, account, config: { ...config, ...change }, addressesFile });
    await expect(wrong, Object.keys(change)[0]).rejects.toThrow(DeploymentMismatchError);
  }
});

it("deploys where OPEN is the chain's coin: a wrapper in the token's place, with no supply of its own", async () => {
  const wrapped = { ...config, openKind: "wrapped" as const };
  const { contracts } = await deploy({ rpcUrl: anvil.rpcUrl, account, config: wrapped, addressesFile });
  const client = chainClient(anvil.rpcUrl);
  const token = { address: contracts.openToken, abi: wrappedOpenAbi } as const;
  expect(await client.readContract({ ...token, functionName: "totalSupply" })).toBe(0n);
  const hash = await walletClient(anvil.rpcUrl, account).writeContract({
    ...token,
    functionName: "deposit",
    value: 5n,
    chain: null,
  });
  await client.waitForTransactionReceipt({ hash });
  expect(await client.readContract({ ...token, functionName: "totalSupply" })).toBe(5n);
});

it("refuses a chain whose contracts have other parameters, and names the first difference", async () => {
  await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile });
  const other = { ...config, bondAmountWei: parseEther("2") };
  const error = await deploy({ rpcUrl: anvil.rpcUrl, account, config: other, addressesFile }).catch((e) => e);
  expect(error).toBeInstanceOf(DeploymentMismatchError);
  expect(error.message).toContain("attributionLedger.bondAmount");
});

it("refuses a deployer whose first nonce went elsewhere", async () => {
  const hash = await walletClient(anvil.rpcUrl, account).sendTransaction({
    chain: null,
    to: account.address,
  });
  await chainClient(anvil.rpcUrl).waitForTransactionReceipt({ hash });
  const error = await deploy({ rpcUrl: anvil.rpcUrl, account, config, addressesFile }).catch((e) => e);
  expect(error).toBeInstanceOf(DeploymentMismatchError);
  expect(error.message).toContain("openToken.code");
});

const commandPath = fileURLToPath(new URL("main.ts", import.meta.url));

/** What the command reads, with the parameters of these tests in a file. */
async function commandEnvironment(rpcUrl: string): Promise<NodeJS.ProcessEnv> {
  const path = join(folder, "config.json");
  const toText = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
  await writeFile(path, JSON.stringify(config, toText));
  const deployerKey = toHex(account.getHdKey().privateKey!);
  const own = {
    RPC_URL: rpcUrl,
    DEPLOYER_KEY: deployerKey,
    DEPLOY_CONFIG: path,
    ADDRESSES_FILE: addressesFile,
  };
  return { ...process.env, ...own };
}

async function runCommand(env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [commandPath], { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "exit");
  return { code, output };
}

/** Passes requests on until the `failAt`-th transaction: from then on every connection is cut, as by a dead node, or hangs. */
async function startFailingProxy(
  target: string,
  failAt: number,
  failure: "cut" | "silent" = "cut",
): Promise<{ rpcUrl: string; server: Server }> {
  let sentCount = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    if (body.includes("eth_sendRawTransaction")) sentCount++;
    if (sentCount >= failAt) return failure === "cut" ? request.socket.destroy() : undefined;
    const headers = { "content-type": "application/json" };
    const answer = await fetch(target, { method: "POST", body, headers });
    response.writeHead(answer.status, headers).end(await answer.text());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  invariant(typeof address === "object" && address !== null, "a TCP server has a port");
  return { rpcUrl: `http://127.0.0.1:${address.port}`, server };
}
