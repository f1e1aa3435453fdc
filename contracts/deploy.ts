/** Deploys what the plan names, compares everything on chain with the configuration, and writes the addresses. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  getAddress,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  parseAbiItem,
  zeroAddress,
} from "viem";
import { permissionsAbi } from "#schema/abi/permissions";
import type { Deployment } from "#schema/deployment";
import { PipelineError } from "#schema/errors";
import {
  abis,
  type ContractAddresses,
  type ContractName,
  contractAddresses,
  contractNames,
  type DeployConfig,
  expectedAnswers,
  roles,
  transactions,
  x402Addresses,
} from "./deployment-plan.ts";

export { abis, type ContractName, contractAddresses, type DeployConfig, x402Addresses };

type Options = {
  rpcUrl: string;
  /** Deploys from nonce 0 and receives the whole token supply. Use it for nothing before the deployment. */
  account: LocalAccount;
  config: DeployConfig;
  /** Where the addresses are written, as JSON. Its folder is created. */
  addressesFile: string;
};

/** Above what any of them needs; each is sent before the earlier ones are mined, so none can be estimated. */
const deployGas = 6_000_000n;
const pollMs = 100;
const waitMsMax = 120_000;

/**
 * Deploys what is missing and returns the addresses. Running it again sends nothing; running it after a crash
 * continues at the first missing contract. Everything on chain is compared with `config` before it returns.
 *
 * @throws DeploymentMismatchError if another contract stands in our place or has other parameters.
 * @throws DeploymentTimeoutError if a contract is not mined in time. Retryable.
 */
export async function deploy({ rpcUrl, account, config, addressesFile }: Options): Promise<Deployment> {
  const publicClient = createPublicClient({
    transport: http(rpcUrl, { batch: true }),
    pollingInterval: pollMs,
  });
  const contracts = contractAddresses(account.address, config.escrowPlace);
  await sendMissing(publicClient, { rpcUrl, account, config, contracts });
  if (config.escrowPlace === "x402") await placeForX402(publicClient, contractAddresses(account.address));
  await verify(publicClient, { config, contracts, deployer: account.address });
  const deployment = {
    chainId: await publicClient.getChainId(),
    deployBlock: await findDeployBlock(publicClient, contracts.openToken),
    contracts,
  };
  writeAtomically(addressesFile, `${JSON.stringify(deployment, null, 2)}\n`);
  return deployment;
}

type Sending = Omit<Options, "addressesFile"> & { contracts: ContractAddresses };

async function sendMissing(publicClient: PublicClient, sending: Sending): Promise<void> {
  const { rpcUrl, account, config, contracts } = sending;
  const { address } = account;
  const planned = transactions(address, config, contracts);
  const sentCount = await publicClient.getTransactionCount({ address, blockTag: "pending" });
  const walletClient = createWalletClient({ account, transport: http(rpcUrl) });
  for (const [nonce, { to, data }] of planned.entries()) {
    if (nonce < sentCount) continue;
    await walletClient.sendTransaction({ chain: null, to, data, nonce, gas: deployGas });
  }
  await waitMined(publicClient, address, planned.length);
  const deployed = contractAddresses(address);
  for (const name of contractNames) {
    const code = await publicClient.getCode({ address: deployed[name] });
    if (code === undefined) throw new DeploymentMismatchError(name, "code", "none", "a contract");
  }
}

async function waitMined(publicClient: PublicClient, address: Address, count: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
    const minedCount = await publicClient.getTransactionCount({ address });
    if (minedCount >= count) return;
    await sleep(pollMs);
  }
  throw new DeploymentTimeoutError(await publicClient.getTransactionCount({ address }), count);
}

/** The deployed escrow is the donor: its code, immutables included, is what must stand at x402's addresses. */
async function placeForX402(publicClient: PublicClient, donors: ContractAddresses): Promise<void> {
  for (const name of ["channelEscrow", "erc3009DepositCollector"] as const) {
    const expected = await publicClient.getCode({ address: donors[name] });
    const address = x402Addresses[name];
    const given = await publicClient.getCode({ address });
    if (given === expected) continue;
    if (given !== undefined) throw new DeploymentMismatchError(name, "code", given, String(expected));
    await publicClient.request({ method: "anvil_setCode", params: [address, expected] } as never);
  }
}

type Verifying = { config: DeployConfig; contracts: ContractAddresses; deployer: Address };

async function verify(publicClient: PublicClient, verifying: Verifying): Promise<void> {
  const { config, contracts } = verifying;
  const answers = Object.entries(expectedAnswers(config, contracts)) as [ContractName, object][];
  const checks = answers.flatMap(([name, expected]) =>
    Object.entries(expected).map(([getter, answer]) => ({ name, getter, answer: answer as unknown })),
  );
  await Promise.all(
    checks.map(async ({ name, getter, answer }) => {
      const abi = abis[name] as Abi;
      const given = await publicClient.readContract({ address: contracts[name], abi, functionName: getter });
      if (normalize(given) === normalize(answer)) return;
      throw new DeploymentMismatchError(name, getter, String(given), String(answer));
    }),
  );
  await verifyRoles(publicClient, verifying);
}

/** The Timelock is admin, the deployer is not. The other roles are whose the Timelock says, after the first day. */
async function verifyRoles(publicClient: PublicClient, { contracts, deployer }: Verifying): Promise<void> {
  const expected = [
    [contracts.timelock, true],
    [deployer, false],
  ] as const;
  for (const [account, answer] of expected) {
    const [isMember] = await publicClient.readContract({
      address: contracts.permissions,
      abi: permissionsAbi,
      functionName: "hasRole",
      args: [roles.admin, account],
    });
    if (isMember === answer) continue;
    throw new DeploymentMismatchError("permissions", "admin", `${account}: ${isMember}`, `${answer}`);
  }
}

function normalize(value: unknown): string {
  const text = String(value);
  return /^0x[0-9a-fA-F]{40}$/.test(text) ? getAddress(text as Hex) : text;
}

/** The token's only mint is its construction. */
async function findDeployBlock(publicClient: PublicClient, openToken: Address): Promise<number> {
  const event = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)");
  const logs = await publicClient.getLogs({
    address: openToken,
    event,
    args: { from: zeroAddress },
    fromBlock: 0n,
  });
  const [mint] = logs;
  if (mint === undefined)
    throw new DeploymentMismatchError("openToken", "mint", "none", "one Transfer from zero");
  return Number(mint.blockNumber);
}

function writeAtomically(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** Something else than our contract stands at the address. Remedy: a fresh deployer key, or the old configuration. */
export class DeploymentMismatchError extends PipelineError {
  override readonly name = "DeploymentMismatchError";
  constructor(contract: ContractName, field: string, given: string, expected: string) {
    super(
      `${contract}.${field} is not what the configuration says. Expected: ${expected}. Given: ${given}.`,
      {
        code: "deployment_mismatch",
        retryable: false,
      },
    );
  }
}

export class DeploymentTimeoutError extends PipelineError {
  override readonly name = "DeploymentTimeoutError";
  constructor(minedCount: number, count: number) {
    super(`${minedCount} of ${count} transactions were mined within ${waitMsMax} ms.`, {
      code: "deployment_timeout",
      retryable: true,
    });
  }
}
