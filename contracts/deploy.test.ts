import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Address, keccak256, parseEther, toHex, zeroHash } from "viem";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readDeployment } from "#schema/deployment";
import { invariant } from "#schema/errors";
import { chainClient, devAccount, startAnvil, type TestChain, walletClient } from "#schema/testing/stack";
import { abis, contractAddresses, type DeployConfig, DeploymentMismatchError, deploy } from "./deploy.ts";

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
  expect(await client.getTransactionCount({ address: account.address })).toBe(18);
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

/** Passes requests on until the `failAt`-th transaction: from then on every connection is cut, as by a dead node. */
async function startFailingProxy(
  target: string,
  failAt: number,
): Promise<{ rpcUrl: string; server: Server }> {
  let sentCount = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    if (body.includes("eth_sendRawTransaction")) sentCount++;
    if (sentCount >= failAt) return request.socket.destroy();
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
