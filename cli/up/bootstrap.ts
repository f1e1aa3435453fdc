import { existsSync } from "node:fs";
import { type Abi, type Hex, keccak256, maxUint256, parseEther, toHex, zeroHash } from "viem";
import { type DeployConfig, deploy } from "#contracts/deploy";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { permissionsAbi } from "#schema/abi/permissions";
import { type Call, type Chain, openChain, reach } from "../chain/transactions.ts";
import { request } from "./chain.ts";
import { accountOf, modelName, type Stack } from "./stack.ts";

/** Price of one call in wei: a prime, so that no split comes out even. */
export const pricePerCallWei = 1_234_567_890_123_511n;
/** What the poster holds for bonds, in wei of OPEN. */
const posterFundsWei = parseEther("100000");
const gasFundsWei = parseEther("100");

const datanetParams = {
  minContributorStake: parseEther("1"),
  minValidatorStake: parseEther("10"),
  votingPeriodSeconds: 3_600n,
  quorumBps: 3_000,
  slashBps: 1_000,
  ownerBps: 500,
  validatorBps: 1_000,
};

/** Deploys the contracts where they are missing and writes the addresses file. Those that stand keep their parameters. */
export async function deployContracts(stack: Stack): Promise<void> {
  if (existsSync(stack.addressesFile) && (await isDeployed(stack))) return;
  const account = accountOf("deployer");
  await giveGas(stack.rpcUrl, ["deployer"]);
  const { rpcUrl, addressesFile } = stack;
  await deploy({ rpcUrl, account, config: deployConfig(stack), addressesFile });
}

/**
 * What a system needs before its first answer: gas, a bond for the poster, the node, the model and one Datanet per
 * name, used by the model. Reads the chain and sends what is missing.
 */
export async function bootstrap(stack: Stack, datanetNames: readonly string[]): Promise<void> {
  const chain = openChain(stack.rpcUrl, stack.addressesFile);
  await giveGas(stack.rpcUrl, [
    "deployer",
    "poster",
    "node",
    "eigenda",
    "model owner",
    "bot",
    ...datanetNames.map(ownerLabel),
  ]);
  await reach(chain, "prepare the accounts", () => missingPreparations(chain, stack));
  await reach(chain, "create the Datanets", () => missingDatanets(chain, datanetNames));
  await reach(chain, "let the model use the Datanets", () => missingUses(chain, stack, datanetNames.length));
}

/** Gives development accounts ether for gas; anvil prints it. */
export async function giveGas(rpcUrl: string, labels: readonly string[]): Promise<void> {
  for (const label of labels) {
    await request(rpcUrl, "anvil_setBalance", [accountOf(label).address, toHex(gasFundsWei)]);
  }
}

export function ownerLabel(datanetName: string): string {
  return `owner of the ${datanetName} Datanet`;
}

/** The permissions are handed over last: where that is done, all stands. */
async function isDeployed({ rpcUrl, addressesFile }: Stack): Promise<boolean> {
  const { client, deployment } = openChain(rpcUrl, addressesFile);
  const { governor, permissions, timelock } = deployment.contracts;
  if ((await client.getCode({ address: governor })) === undefined) return false;
  const call = {
    address: permissions,
    abi: permissionsAbi,
    functionName: "hasRole",
    args: [0n, timelock],
  } as const;
  const [isHandedOver] = await client.readContract(call);
  return isHandedOver;
}

function deployConfig({ pace }: Stack): DeployConfig {
  return {
    nodeBps: 2_000,
    treasuryBps: 500,
    treasury: accountOf("treasury").address,
    poster: accountOf("poster").address,
    arbiter: accountOf("arbiter").address,
    guardian: accountOf("arbiter").address,
    challengeWindowSeconds: pace.challengeWindowSeconds,
    arbitrationTimeoutSeconds: 86_400,
    bondAmountWei: parseEther("100"),
    unstakeCooldownSeconds: 86_400,
    nodeStakeMinWei: 0n,
    faultBondWei: parseEther("10"),
    answerWindowSeconds: 86_400,
    votingDelaySeconds: 3_600,
    votingPeriodSeconds: 86_400,
    timelockDelaySeconds: 3_600,
  };
}

async function missingPreparations(chain: Chain, stack: Stack): Promise<Call[]> {
  const { contracts } = chain.deployment;
  const token = { address: contracts.openToken, abi: openTokenAbi } as const;
  const models = { address: contracts.modelRegistry, abi: modelRegistryAbi } as const;
  const [deployer, poster, node, owner] = ["deployer", "poster", "node", "model owner"].map(accountOf) as [
    ReturnType<typeof accountOf>,
    ReturnType<typeof accountOf>,
    ReturnType<typeof accountOf>,
    ReturnType<typeof accountOf>,
  ];
  const spenders = [
    { account: deployer, spender: contracts.stakeVault },
    { account: poster, spender: contracts.attributionLedger },
  ];
  const calls: Call[] = [];
  for (const { account, spender } of spenders) {
    const allowance = await chain.client.readContract({
      ...token,
      functionName: "allowance",
      args: [account.address, spender],
    });
    if (allowance < maxUint256 / 2n) calls.push(callOf(account, token, "approve", [spender, maxUint256]));
  }
  const posterWei = await chain.client.readContract({
    ...token,
    functionName: "balanceOf",
    args: [poster.address],
  });
  if (posterWei === 0n) calls.push(callOf(deployer, token, "transfer", [poster.address, posterFundsWei]));
  if (!(await chain.client.readContract({ ...models, functionName: "isNode", args: [node.address] })))
    calls.push(callOf(node, models, "registerServingNode", [node.address, zeroHash, servingUrl(stack)]));
  if ((await modelLogs(chain, "ModelRegistered", stack.modelId)).length === 0)
    calls.push(callOf(owner, models, "registerModel", modelArgs(stack)));
  return calls;
}

function modelArgs(stack: Stack): unknown[] {
  const params = {
    artifactHash: stack.artifactHash,
    configHash: zeroHash,
    trainingDataRoot: zeroHash,
    tokenizerHash: zeroHash,
    ownerBps: 10_000,
    provenanceMode: 0,
    pricePerCall: pricePerCallWei,
    uri: `runtime/models/${modelName}`,
  };
  return [modelName, 0, params, []];
}

async function missingDatanets(chain: Chain, names: readonly string[]): Promise<Call[]> {
  const registry = { address: chain.deployment.contracts.datanetRegistry, abi: datanetRegistryAbi } as const;
  const count = Number(await chain.client.readContract({ ...registry, functionName: "datanetCount" }));
  return names.slice(count).map((name) => {
    const uri = `tributary:datanet/${name}`;
    return callOf(accountOf(ownerLabel(name)), registry, "createDatanet", [
      keccak256(toHex(uri)),
      uri,
      datanetParams,
    ]);
  });
}

async function missingUses(chain: Chain, stack: Stack, datanetCount: number): Promise<Call[]> {
  const models = { address: chain.deployment.contracts.modelRegistry, abi: modelRegistryAbi } as const;
  const logs = await modelLogs(chain, "DatanetUsed", stack.modelId);
  const used = new Set(logs.map(({ args }) => Number((args as { datanetId: bigint }).datanetId)));
  const ids = Array.from({ length: datanetCount }, (_, index) => index + 1).filter((id) => !used.has(id));
  return ids.map((id) =>
    callOf(accountOf("model owner"), models, "useDatanet", [stack.modelId, BigInt(id), zeroHash, zeroHash]),
  );
}

async function modelLogs(chain: Chain, eventName: "ModelRegistered" | "DatanetUsed", modelId: Hex) {
  return chain.client.getContractEvents({
    address: chain.deployment.contracts.modelRegistry,
    abi: modelRegistryAbi,
    eventName,
    args: { modelId },
    fromBlock: 0n,
  });
}

function callOf(
  account: ReturnType<typeof accountOf>,
  { address, abi }: { address: Hex; abi: Abi },
  functionName: string,
  args: readonly unknown[],
): Call {
  return { account, to: address, abi, functionName, args };
}

function servingUrl({ ports }: Stack): string {
  return `http://127.0.0.1:${ports.serving}`;
}
