/** Governance in the scripted life: a Datanet becomes a DAO, the holders of OPEN decide, permissions are used to the full. */
import {
  type Abi,
  type Address,
  encodeFunctionData,
  type Hex,
  keccak256,
  maxUint256,
  parseEther,
  toHex,
  zeroAddress,
  zeroHash,
} from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import { devAccount, walletClient } from "#schema/testing/stack";
import { type Chain, claimer, disputer, holder } from "./life.ts";

const [against, inFavour, abstaining] = [0, 1, 2] as const;

/** Actions of a proposal. */
type Actions = { targets: Address[]; values: bigint[]; calldatas: Hex[] };

const settings = { datanetId: 1n, votingDelayBlocks: 1, votingPeriodBlocks: 8, quorumBps: 2_000 };

/** Datanet 1 is handed to its DAO; one proposal is executed, one taken back, one voted down. */
export async function joinForces(chain: Chain): Promise<void> {
  const { send, client, deployment } = chain;
  const { datanetRegistry, datanetDaoFactory, openToken, stakeVault } = deployment.contracts;
  const scope = await client.readContract({
    address: datanetRegistry,
    abi: abis.datanetRegistry,
    functionName: "scopeOf",
    args: [1n],
  });
  for (const who of [holder, disputer]) {
    await send(who, "openToken", "approve", [stakeVault, maxUint256]);
    await send(who, "stakeVault", "stake", [scope, parseEther("200")]);
  }
  await send(disputer, "datanetDaoFactory", "create", [settings]);
  const dao = await client.readContract({
    address: datanetDaoFactory,
    abi: abis.datanetDaoFactory,
    functionName: "daoOf",
    args: [settings],
  });
  await send(holder, "datanetRegistry", "transferOwnership", [1n, dao]);
  await send(holder, "openToken", "transfer", [dao, 500n]);
  const open = action(datanetRegistry, abis.datanetRegistry, "setStatus", [1n, 0]);
  const spend = action(openToken, abis.openToken, "transfer", [devAccount(claimer).address, 200n]);
  const both = join(open, spend);
  const id = await propose(chain, dao, both, "open and pay");
  const idDown = await propose(chain, dao, spend, "pay more");
  await client.mine({ blocks: 2 });
  await ask(chain, holder, dao, "castVote", [id, inFavour]);
  await ask(chain, disputer, dao, "castVoteWithReasonAndParams", [id, abstaining, "who \0 knows", "0x01"]);
  await ask(chain, disputer, dao, "castVote", [idDown, against]);
  await client.mine({ blocks: 9 });
  await ask(chain, claimer, dao, "execute", argsOf(both, "open and pay"));
  await propose(chain, dao, open, "by mistake");
  await ask(chain, holder, dao, "cancel", argsOf(open, "by mistake"));
}

/** One decision of the holders that sets every setting there is, reached in its last second; another is taken back. */
export async function decide(chain: Chain): Promise<void> {
  const { send, pass, client, deployment } = chain;
  const { governor, timelock, openToken } = deployment.contracts;
  const { votingDelaySeconds, votingPeriodSeconds, timelockDelaySeconds } = deployment.config;
  await send(holder, "openToken", "delegate", [devAccount(holder).address]);
  await send(disputer, "openToken", "delegate", [devAccount(disputer).address]);
  await pass(1);
  const ofGovernor = (name: string, args: unknown[]) => action(governor, abis.governor, name, args);
  const granted = [keccak256(toHex("ROLE")), devAccount(claimer).address];
  const actions = join(
    ofGovernor("setVotingDelay", [votingDelaySeconds]),
    ofGovernor("setVotingPeriod", [votingPeriodSeconds]),
    ofGovernor("setProposalThreshold", [parseEther("10001")]),
    ofGovernor("updateQuorumNumerator", [5n]),
    ofGovernor("setLateQuorumVoteExtension", [BigInt(votingDelaySeconds) + 1n]),
    ofGovernor("updateTimelock", [timelock]),
    action(timelock, abis.timelock, "updateDelay", [BigInt(timelockDelaySeconds)]),
    action(timelock, abis.timelock, "grantRole", granted),
    action(timelock, abis.timelock, "revokeRole", granted),
  );
  const id = await propose(chain, governor, actions, "settings");
  const read = { address: governor, abi: abis.governor } as const;
  const deadline = await client.readContract({ ...read, functionName: "proposalDeadline", args: [id] });
  await pass(votingDelaySeconds + 1);
  await ask(chain, disputer, governor, "castVoteWithReasonAndParams", [id, abstaining, "", "0x02"]);
  await client.setNextBlockTimestamp({ timestamp: deadline });
  await ask(chain, holder, governor, "castVote", [id, inFavour]);
  await pass(votingPeriodSeconds);
  await ask(chain, claimer, governor, "queue", argsOf(actions, "settings"));
  await pass(timelockDelaySeconds + 1);
  await ask(chain, claimer, governor, "execute", argsOf(actions, "settings"));
  const mistake = action(openToken, abis.openToken, "approve", [zeroAddress, 0n]);
  await propose(chain, governor, mistake, "mistake");
  const { timestamp } = await client.getBlock();
  await client.setNextBlockTimestamp({ timestamp: timestamp + 1n }); // Its vote has not begun.
  await ask(chain, holder, governor, "cancel", argsOf(mistake, "mistake"));
  await cancelInTimelock(chain);
}

/** The Governor schedules and takes back; nobody else may. */
async function cancelInTimelock(chain: Chain): Promise<void> {
  const { client, deployment } = chain;
  const { governor, timelock, openToken } = deployment.contracts;
  const salt = keccak256(toHex("salt"));
  const operation = [openToken, 0n, "0x", zeroHash, salt] as const;
  const id = await client.readContract({
    address: timelock,
    abi: abis.timelock,
    functionName: "hashOperation",
    args: operation,
  });
  await askAs(chain, governor, "timelock", "schedule", [...operation, 3_600n]);
  await askAs(chain, governor, "timelock", "cancel", [id]);
}

const role = 9n;

/** What the AccessManager can do besides what the deployment has it do, by its admin; and operations it delays. */
export async function governPermissions(chain: Chain): Promise<void> {
  const { send, pass, deployment } = chain;
  const { timelock, openToken } = deployment.contracts;
  const [member, other] = [devAccount(claimer).address, devAccount(disputer).address];
  const selector = "0x095ea7b3"; // approve(address,uint256)
  const byAdmin: [string, unknown[]][] = [
    ["labelRole", [role, "approver"]],
    ["setRoleAdmin", [role, 0n]],
    ["setRoleGuardian", [role, 3n]],
    ["setGrantDelay", [role, 0]],
    ["grantRole", [role, member, 60]],
    ["grantRole", [role, other, 0]],
    ["revokeRole", [role, other]],
    ["setTargetFunctionRole", [openToken, [selector], role]],
    ["setTargetAdminDelay", [openToken, 0]],
    ["setTargetClosed", [openToken, true]],
    ["setTargetClosed", [openToken, false]],
  ];
  for (const [functionName, args] of byAdmin) await askAs(chain, timelock, "permissions", functionName, args);
  const data = encodeFunctionData({
    abi: abis.openToken,
    functionName: "approve",
    args: [member, 5n],
  });
  await send(claimer, "permissions", "schedule", [openToken, data, 0]);
  await pass(61);
  await send(claimer, "permissions", "execute", [openToken, data]);
  await send(claimer, "permissions", "schedule", [openToken, data, 0]);
  await send(claimer, "permissions", "cancel", [member, openToken, data]);
}

function action(
  target: Address,
  abi: Abi | readonly unknown[],
  functionName: string,
  args: unknown[],
): Actions {
  const data = encodeFunctionData({ abi: abi as Abi, functionName, args });
  return { targets: [target], values: [0n], calldatas: [data] };
}

function join(...all: Actions[]): Actions {
  return {
    targets: all.flatMap(({ targets }) => targets),
    values: all.flatMap(({ values }) => values),
    calldatas: all.flatMap(({ calldatas }) => calldatas),
  };
}

function argsOf({ targets, values, calldatas }: Actions, description: string): unknown[] {
  return [targets, values, calldatas, keccak256(toHex(description))];
}

/** By the holder, at the Governor or a DAO: both answer to the same ABI. @returns its id. */
async function propose(chain: Chain, governor: Address, actions: Actions, why: string): Promise<bigint> {
  const { targets, values, calldatas } = actions;
  await ask(chain, holder, governor, "propose", [targets, values, calldatas, why]);
  const call = { address: governor, abi: abis.governor as Abi, functionName: "getProposalId" };
  return (await chain.client.readContract({ ...call, args: argsOf(actions, why) })) as bigint;
}

async function ask(chain: Chain, who: number, governor: Address, functionName: string, args: unknown[]) {
  const hash = await walletClient(chain.rpcUrl, devAccount(who)).writeContract({
    address: governor,
    abi: abis.governor as Abi,
    functionName,
    args,
    chain: null,
    gas: 5_000_000n,
  });
  await succeeded(chain, hash, functionName);
}

/** As a contract that has no key. */
async function askAs(chain: Chain, from: Address, name: ContractName, functionName: string, args: unknown[]) {
  const { client, deployment } = chain;
  await client.setBalance({ address: from, value: parseEther("1") });
  await client.impersonateAccount({ address: from });
  const data = encodeFunctionData({ abi: abis[name] as Abi, functionName, args });
  const params = [{ from, to: deployment.contracts[name], data, gas: toHex(5_000_000) }] as const;
  const hash = await client.request({ method: "eth_sendTransaction", params } as never);
  await succeeded(chain, hash, functionName);
}

async function succeeded({ client }: Chain, hash: Hex, functionName: string): Promise<void> {
  const { status } = await client.waitForTransactionReceipt({ hash });
  if (status !== "success") throw new Error(`${functionName} reverted`);
}
