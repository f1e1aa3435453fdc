/** Deploys what the plan names, compares everything on chain with the configuration, and writes the addresses. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  decodeFunctionResult,
  encodeFunctionData,
  getAddress,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  parseAbiItem,
  parseEventLogs,
  toHex,
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
  handedOver,
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
const deployGas = 7_000_000n;
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
    deployBlock: await findDeployBlock(publicClient, config, contracts),
    contracts,
  };
  writeAtomically(addressesFile, `${JSON.stringify(deployment, null, 2)}\n`);
  return deployment;
}

/** What a deployment would do: each transaction with its gas; contracts at their addresses; what the checks would say. */
export type DryRun = {
  contracts: ContractAddresses;
  /** By nonce; the last hands over the permissions. `gas` is null where it stands already. */
  steps: { name: ContractName | "handOver"; address: Address; gas: bigint | null }[];
};

/**
 * The whole deployment and its verification, executed by the node in one simulation on top of its newest block. Sends
 * nothing and needs no key.
 *
 * @throws DeploymentMismatchError as `deploy` would; DryRunRevertedError naming the first step that fails.
 */
export async function dryRun({
  rpcUrl,
  deployer,
  config,
}: {
  rpcUrl: string;
  deployer: Address;
  config: DeployConfig;
}): Promise<DryRun> {
  const publicClient = createPublicClient({ transport: http(rpcUrl) });
  const contracts = contractAddresses(deployer);
  const names = [...contractNames, "handOver" as const];
  const sentCount = await publicClient.getTransactionCount({ address: deployer, blockTag: "pending" });
  const missing = transactions(deployer, config, contracts).slice(sentCount);
  const checks = checksOf(config, contracts);
  const results = await simulate(publicClient, deployer, [
    ...missing.map(
      ({ to, data }): Call =>
        to === null ? { from: anyone, to: deployer, data } : { from: deployer, to, data },
    ),
    ...checks.map(
      ({ name, abi, getter }): Call => ({
        from: anyone,
        to: contracts[name],
        data: encodeFunctionData({ abi, functionName: getter }),
      }),
    ),
  ]);
  const failed = results.findIndex(({ status }) => status !== "0x1");
  if (failed >= 0)
    throw new DryRunRevertedError(String(names[sentCount + failed] ?? checks[failed - missing.length]?.name));
  for (const [i, { name, abi, getter, answer }] of checks.entries()) {
    const data = results[missing.length + i]!.returnData;
    const given = decodeFunctionResult({ abi, functionName: getter, data });
    if (normalize(given) !== normalize(answer))
      throw new DeploymentMismatchError(name, getter, String(given), String(answer));
  }
  const steps = names.map((name, nonce) => ({
    name,
    address: name === "handOver" ? contracts.permissions : contracts[name],
    gas: nonce < sentCount ? null : BigInt(results[nonce - sentCount]!.gasUsed),
  }));
  return { contracts, steps };
}

/** Creates what it is called with. At the deployer's address, with his nonce, it creates where he would. */
const creatorCode = "0x365f5f37365f5ff080600f575f5ffd5b5f5260205ff3";
const anyone = "0x0000000000000000000000000000000000000001";

type Call = { from: Address; to: Address; data: Hex };
type Simulated = { status: Hex; returnData: Hex; gasUsed: Hex };

/** One call per block, for together they exceed one's gas. Not every node creates contracts here, so a contract does. */
async function simulate(
  publicClient: PublicClient,
  deployer: Address,
  calls: readonly Call[],
): Promise<Simulated[]> {
  const gas = toHex(2n * deployGas);
  const blockStateCalls = calls.map((call, i) => ({
    ...(i === 0 && { stateOverrides: { [deployer]: { code: creatorCode } } }),
    calls: [{ ...call, gas }],
  }));
  const params = [{ blockStateCalls, validation: false }, "latest"];
  const blocks = (await publicClient.request({ method: "eth_simulateV1", params } as never)) as {
    calls: Simulated[];
  }[];
  return blocks.flatMap((block) => block.calls);
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
  await Promise.all(
    checksOf(config, contracts).map(async ({ name, abi, getter, answer }) => {
      const given = await publicClient.readContract({ address: contracts[name], abi, functionName: getter });
      if (normalize(given) === normalize(answer)) return;
      throw new DeploymentMismatchError(name, getter, String(given), String(answer));
    }),
  );
  await verifyHandOver(publicClient, verifying);
  await verifyRoles(publicClient, verifying);
}

type Check = { name: ContractName; abi: Abi; getter: string; answer: unknown };

function checksOf(config: DeployConfig, contracts: ContractAddresses): Check[] {
  const answers = Object.entries(expectedAnswers(config, contracts)) as [ContractName, object][];
  return answers.flatMap(([name, expected]) =>
    Object.entries(expected).map(([getter, answer]) => ({ name, abi: abis[name] as Abi, getter, answer })),
  );
}

/** The one call that handed the permissions over was the configuration's, whatever the Timelock changed since. */
async function verifyHandOver(
  publicClient: PublicClient,
  { config, contracts, deployer }: Verifying,
): Promise<void> {
  const logs = await publicClient.getLogs({ address: contracts.permissions, fromBlock: 0n });
  const events = parseEventLogs({ abi: permissionsAbi, logs });
  const granted = events.flatMap(({ eventName, args }) =>
    eventName === "RoleGranted" ? [`${args.roleId} ${args.account}`] : [],
  );
  const allowed = events.flatMap(({ eventName, args }) =>
    eventName === "TargetFunctionRoleUpdated" ? [`${args.target} ${args.selector} ${args.roleId}`] : [],
  );
  const { grants, functions } = handedOver(config, contracts);
  const missingGrant = grants.find(([role, account]) => !granted.includes(`${role} ${getAddress(account)}`));
  if (missingGrant !== undefined)
    throw new DeploymentMismatchError("permissions", `role ${missingGrant[0]}`, "others", missingGrant[1]);
  const missingRole = functions.find(
    ({ target, selector, role }) => !allowed.includes(`${getAddress(target)} ${selector} ${role}`),
  );
  if (missingRole !== undefined) {
    const { target, selector, role } = missingRole;
    throw new DeploymentMismatchError("permissions", `${target} ${selector}`, "others", `role ${role}`);
  }
  const isOut = events.some(
    ({ eventName, args }) =>
      eventName === "RoleRevoked" && args.roleId === roles.admin && args.account === getAddress(deployer),
  );
  if (!isOut) throw new DeploymentMismatchError("permissions", "admin", "the deployer", "renounced");
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

/** The first event of all: the mint of the token, or what its wrapper's neighbour in the order of deployment says. */
async function findDeployBlock(
  publicClient: PublicClient,
  { openKind }: DeployConfig,
  { openToken, timelock }: ContractAddresses,
): Promise<number> {
  if (openKind === "wrapped") {
    const [first] = await publicClient.getLogs({ address: timelock, fromBlock: 0n });
    if (first === undefined)
      throw new DeploymentMismatchError("timelock", "events", "none", "those of its construction");
    return Number(first.blockNumber);
  }
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
  constructor(contract: ContractName | "daCertAnchor", field: string, given: string, expected: string) {
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

/** A deployment with this configuration would fail at this step. */
export class DryRunRevertedError extends PipelineError {
  override readonly name = "DryRunRevertedError";
  constructor(step: string) {
    super(`The deployment would revert at ${step}.`, { code: "dry_run_reverted", retryable: false });
  }
}
