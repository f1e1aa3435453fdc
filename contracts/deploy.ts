/**
 * Deploys the contracts, in one order, from one key, from nonce 0 on: the addresses depend on that key alone, which
 * is also how the two circles (vault ↔ registry, distributor ↔ ledger) are closed without a setter.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  encodeDeployData,
  getAddress,
  getContractAddress,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  parseAbiItem,
  zeroAddress,
} from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { erc3009DepositCollectorAbi } from "#schema/abi/erc3009-deposit-collector";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { stakeVaultAbi } from "#schema/abi/stake-vault";
import type { Deployment } from "#schema/deployment";
import { PipelineError } from "#schema/errors";
import { bytecodes } from "./bytecode.generated.ts";

/** Contract → ABI, in order of deployment: the index is the nonce. */
export const abis = {
  openToken: openTokenAbi,
  stakeVault: stakeVaultAbi,
  datanetRegistry: datanetRegistryAbi,
  modelRegistry: modelRegistryAbi,
  channelEscrow: channelEscrowAbi,
  rewardDistributor: rewardDistributorAbi,
  settlementHub: settlementHubAbi,
  attributionLedger: attributionLedgerAbi,
  erc3009DepositCollector: erc3009DepositCollectorAbi,
} as const;

export type ContractName = keyof typeof abis;
type ContractAddresses = Deployment["contracts"];

/** Parameters of the immutable contracts. Shares in basis points of a batch's total; the pool has the rest. */
export type DeployConfig = {
  nodeBps: number;
  treasuryBps: number;
  treasury: Address;
  poster: Address;
  arbiter: Address;
  challengeWindowSeconds: number;
  arbitrationTimeoutSeconds: number;
  bondAmountWei: bigint;
  unstakeCooldownSeconds: number;
  /** Least operating stake with which a node's batches are taken; 0 asks for none. */
  nodeStakeMinWei: bigint;
  /** What a challenge of a missing receipt costs if the node shows it, and how long the node has for that. */
  faultBondWei: bigint;
  answerWindowSeconds: number;
  /**
   * Where the escrow and its collector stand: where the key put them (the default), or where stock x402 clients expect
   * them. `x402` needs the code in the chain's genesis, or a development node that lets code be set.
   */
  escrowPlace?: EscrowPlace;
};

type EscrowPlace = "deployed" | "x402";

/** Constants of @x402/evm 2.27.0: the addresses its clients sign for, on every chain. */
export const x402Addresses = {
  channelEscrow: "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
  erc3009DepositCollector: "0x4020806089470a89826cB9fB1f4059150b550004",
} as const;

type Options = {
  rpcUrl: string;
  /** Deploys from nonce 0 and receives the whole token supply. Use it for nothing before the deployment. */
  account: LocalAccount;
  config: DeployConfig;
  /** Where the addresses are written, as JSON. Its folder is created. */
  addressesFile: string;
};

/** Above what any of them needs; each is sent before the earlier ones are mined, so none can be estimated. */
const deployGas = 3_500_000n;
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
  await verify(publicClient, config, contracts);
  const deployment = {
    chainId: await publicClient.getChainId(),
    deployBlock: await findDeployBlock(publicClient, contracts.openToken),
    contracts,
  };
  writeAtomically(addressesFile, `${JSON.stringify(deployment, null, 2)}\n`);
  return deployment;
}

/** Where `deployer` deploys, known before anything is sent. */
export function contractAddresses(
  deployer: Address,
  escrowPlace: EscrowPlace = "deployed",
): ContractAddresses {
  const entries = contractNames.map((name, nonce) => [
    name,
    getContractAddress({ from: deployer, nonce: BigInt(nonce) }),
  ]);
  const addresses = Object.fromEntries(entries) as ContractAddresses;
  return escrowPlace === "x402" ? { ...addresses, ...x402Addresses } : addresses;
}

const contractNames = Object.keys(abis) as ContractName[];

type Sending = Omit<Options, "addressesFile"> & { contracts: ContractAddresses };

async function sendMissing(publicClient: PublicClient, sending: Sending): Promise<void> {
  const { rpcUrl, account, config, contracts } = sending;
  const args = constructorArgs(account.address, config, contracts);
  const sentCount = await publicClient.getTransactionCount({ address: account.address, blockTag: "pending" });
  const walletClient = createWalletClient({ account, transport: http(rpcUrl) });
  for (const [nonce, name] of contractNames.entries()) {
    if (nonce < sentCount) continue;
    const data = encodeDeployData({ abi: abis[name] as Abi, bytecode: bytecodes[name], args: args[name] });
    await walletClient.sendTransaction({ chain: null, data, nonce, gas: deployGas });
  }
  const deployed = contractAddresses(account.address);
  for (const [nonce, name] of contractNames.entries()) {
    await waitForCode(publicClient, { name, nonce, address: deployed[name], deployer: account.address });
  }
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

type Awaited = { name: ContractName; nonce: number; address: Address; deployer: Address };

async function waitForCode(publicClient: PublicClient, awaited: Awaited): Promise<void> {
  const { name, nonce, address, deployer } = awaited;
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
    const minedCount = await publicClient.getTransactionCount({ address: deployer });
    const code = await publicClient.getCode({ address });
    if (code !== undefined) return;
    if (minedCount > nonce) throw new DeploymentMismatchError(name, "code", "none", "a contract");
    await sleep(pollMs);
  }
  throw new DeploymentTimeoutError(name);
}

function constructorArgs(
  deployer: Address,
  config: DeployConfig,
  contracts: ContractAddresses,
): Record<ContractName, unknown[]> {
  const { openToken, rewardDistributor } = contracts;
  return {
    openToken: [deployer],
    stakeVault: [
      openToken,
      contracts.datanetRegistry,
      contracts.settlementHub,
      zeroAddress,
      config.treasury,
      BigInt(config.unstakeCooldownSeconds),
    ],
    datanetRegistry: [contracts.stakeVault],
    modelRegistry: [],
    channelEscrow: [openToken],
    rewardDistributor: [openToken, contracts.attributionLedger],
    settlementHub: [
      openToken,
      contracts.channelEscrow,
      contracts.stakeVault,
      config.faultBondWei,
      BigInt(config.answerWindowSeconds),
      contracts.modelRegistry,
      rewardDistributor,
      config.treasury,
      config.nodeBps,
      config.treasuryBps,
      config.nodeStakeMinWei,
    ],
    attributionLedger: [
      openToken,
      rewardDistributor,
      config.poster,
      config.arbiter,
      config.bondAmountWei,
      BigInt(config.challengeWindowSeconds),
      BigInt(config.arbitrationTimeoutSeconds),
    ],
    erc3009DepositCollector: [contracts.channelEscrow],
  };
}

/** What each contract must answer, in the order of its constructor's arguments. */
const constructorGetters: Partial<Record<ContractName, string[]>> = {
  stakeVault: ["token", "registry", "hub", "proposals", "treasury", "unstakeCooldownSeconds"],
  datanetRegistry: ["vault"],
  channelEscrow: ["token"],
  rewardDistributor: ["token", "ledger"],
  settlementHub: [
    "token",
    "escrow",
    "vault",
    "faultBond",
    "answerWindowSeconds",
    "modelRegistry",
    "distributor",
    "treasury",
    "nodeBps",
    "treasuryBps",
    "nodeStakeMin",
  ],
  attributionLedger: [
    "token",
    "distributor",
    "poster",
    "arbiter",
    "bondAmount",
    "challengeWindowSeconds",
    "arbitrationTimeoutSeconds",
  ],
  erc3009DepositCollector: ["escrow"],
};

async function verify(
  publicClient: PublicClient,
  config: DeployConfig,
  contracts: ContractAddresses,
): Promise<void> {
  const args = constructorArgs(zeroAddress, config, contracts);
  const checks = contractNames.flatMap((name) =>
    (constructorGetters[name] ?? []).map((getter, index) => ({ name, getter, expected: args[name][index] })),
  );
  await Promise.all(
    checks.map(async ({ name, getter, expected }) => {
      const abi = abis[name] as Abi;
      const given = await publicClient.readContract({ address: contracts[name], abi, functionName: getter });
      if (normalize(given) === normalize(expected)) return;
      throw new DeploymentMismatchError(name, getter, String(given), String(expected));
    }),
  );
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
  constructor(contract: ContractName) {
    super(`${contract} was not mined within ${waitMsMax} ms.`, {
      code: "deployment_timeout",
      retryable: true,
    });
  }
}
