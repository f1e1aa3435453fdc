/**
 * What is deployed, in one order, from one key, from nonce 0 on. Pure: the addresses depend on the key alone, which is
 * also how the circles (vault ↔ registry, ledger ↔ distributor, timelock ↔ governor) are closed without a setter.
 */
import {
  type Abi,
  type Address,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  toFunctionSelector,
  zeroAddress,
} from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { curveFactoryAbi } from "#schema/abi/curve-factory";
import { daCertMirrorAbi } from "#schema/abi/da-cert-mirror";
import { datanetDaoAbi } from "#schema/abi/datanet-dao";
import { datanetDaoFactoryAbi } from "#schema/abi/datanet-dao-factory";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { erc3009DepositCollectorAbi } from "#schema/abi/erc3009-deposit-collector";
import { modelCurveAbi } from "#schema/abi/model-curve";
import { modelProposalsAbi } from "#schema/abi/model-proposals";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { permissionsAbi } from "#schema/abi/permissions";
import { registryProxyAbi } from "#schema/abi/registry-proxy";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { stakeVaultAbi } from "#schema/abi/stake-vault";
import { timelockAbi } from "#schema/abi/timelock";
import { tributaryGovernorAbi } from "#schema/abi/tributary-governor";
import { wrappedOpenAbi } from "#schema/abi/wrapped-open";
import type { Deployment } from "#schema/deployment";
import { invariant } from "#schema/errors";
import { bytecodes } from "./bytecode.generated.ts";

/** What stands at each address → the ABI it answers, in order of deployment: the index is the nonce. */
export const abis = {
  openToken: openTokenAbi,
  timelock: timelockAbi,
  permissions: permissionsAbi,
  stakeVault: stakeVaultAbi,
  datanetRegistryCode: datanetRegistryAbi,
  datanetRegistry: datanetRegistryAbi,
  modelRegistryCode: modelRegistryAbi,
  modelRegistry: modelRegistryAbi,
  channelEscrow: channelEscrowAbi,
  rewardDistributor: rewardDistributorAbi,
  settlementHub: settlementHubAbi,
  attributionLedger: attributionLedgerAbi,
  erc3009DepositCollector: erc3009DepositCollectorAbi,
  modelCurve: modelCurveAbi,
  curveFactory: curveFactoryAbi,
  modelProposals: modelProposalsAbi,
  governor: tributaryGovernorAbi,
  daCertMirror: daCertMirrorAbi,
  datanetDao: datanetDaoAbi,
  datanetDaoFactory: datanetDaoFactoryAbi,
} as const;

export type ContractName = keyof typeof abis;
export type ContractAddresses = Deployment["contracts"];

export const contractNames = Object.keys(abis) as ContractName[];

/** Parameters of the immutable contracts. Shares in basis points of a batch's total; the pool has the rest. */
export type DeployConfig = {
  nodeBps: number;
  treasuryBps: number;
  treasury: Address;
  /** First holders of the roles; the Timelock can change them. */
  poster: Address;
  arbiter: Address;
  guardian: Address;
  challengeWindowSeconds: number;
  arbitrationTimeoutSeconds: number;
  /** Of an epoch, a dispute, a model's proposal and a report alike. */
  bondAmountWei: bigint;
  unstakeCooldownSeconds: number;
  /** Least operating stake with which a node's batches are taken; 0 asks for none. */
  nodeStakeMinWei: bigint;
  /** What a challenge of a missing receipt costs if the node shows it, and how long the node has for that. */
  faultBondWei: bigint;
  answerWindowSeconds: number;
  /** From a proposal to its vote, of the vote, and from the decision to its execution. */
  votingDelaySeconds: number;
  votingPeriodSeconds: number;
  timelockDelaySeconds: number;
  /**
   * Where the escrow and its collector stand: where the key put them (the default), or where stock x402 clients expect
   * them. `x402` needs the code in the chain's genesis, or a development node that lets code be set.
   */
  escrowPlace?: EscrowPlace;
  /**
   * What OPEN is: a token minted whole to the deployer (the default), or the chain's own coin, of which the token is a
   * wrapper that anyone deposits into.
   */
  openKind?: OpenKind;
  /** Where layer 1's anchor is or will be (deploy-anchor.ts); without one no certificate is ever judged. */
  daCertAnchor?: Address;
  /** Layer 2's messenger; the OP Stack's predeploy where nothing else is said. */
  messenger?: Address;
};

type OpenKind = "minted" | "wrapped";

type EscrowPlace = "deployed" | "x402";

/** Constants of @x402/evm 2.27.0: the addresses its clients sign for, on every chain. */
export const x402Addresses = {
  channelEscrow: "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
  erc3009DepositCollector: "0x4020806089470a89826cB9fB1f4059150b550004",
} as const;

/** L2CrossDomainMessenger of every OP Stack chain. */
const messengerPredeploy = "0x4200000000000000000000000000000000000007";

/** Part of the supply that makes a quorum for a model's proposal; the Governor's own is 4 % too. */
const proposalQuorumBps = 400;

/** Roles as Governance.sol numbers them. */
export const roles = { admin: 0n, poster: 1n, arbiter: 2n, guardian: 3n } as const;

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

/** Data of each transaction, by nonce: the contracts, then one call that hands the permissions over. */
export function transactions(
  deployer: Address,
  config: DeployConfig,
  contracts: ContractAddresses,
): { to: Address | null; data: Hex }[] {
  const args = constructorArgs(deployer, config, contracts);
  const creations = contractNames.map((name) => {
    const { abi, bytecode } = codeOf(name, config.openKind);
    return { to: null, data: encodeDeployData({ abi, bytecode, args: args[name] }) };
  });
  return [...creations, { to: contracts.permissions, data: handOver(deployer, config, contracts) }];
}

/** Getter → what it must answer, for each contract. */
export function expectedAnswers(
  config: DeployConfig,
  contracts: ContractAddresses,
): Partial<Record<ContractName, Record<string, unknown>>> {
  const { openToken: token, stakeVault: vault, permissions: authority, timelock } = contracts;
  const { treasury, nodeBps, treasuryBps } = config;
  const registry = { authority, upgrader: timelock, vault, ledger: contracts.attributionLedger };
  const models = { datanetRegistry: contracts.datanetRegistry, upgrader: timelock };
  return {
    timelock: { getMinDelay: config.timelockDelaySeconds },
    stakeVault: {
      token,
      registry: contracts.datanetRegistry,
      hub: contracts.settlementHub,
      proposals: contracts.modelProposals,
      treasury,
      unstakeCooldownSeconds: config.unstakeCooldownSeconds,
    },
    datanetRegistryCode: registry,
    datanetRegistry: registry,
    modelRegistryCode: models,
    modelRegistry: models,
    channelEscrow: { token },
    rewardDistributor: { token, ledger: contracts.attributionLedger },
    settlementHub: {
      token,
      escrow: contracts.channelEscrow,
      vault,
      modelRegistry: contracts.modelRegistry,
      distributor: contracts.rewardDistributor,
      authority,
      treasury,
      nodeBps,
      treasuryBps,
      nodeStakeMin: config.nodeStakeMinWei,
      faultBond: config.faultBondWei,
      answerWindowSeconds: config.answerWindowSeconds,
    },
    attributionLedger: {
      token,
      distributor: contracts.rewardDistributor,
      certMirror: contracts.daCertMirror,
      authority,
      bondAmount: config.bondAmountWei,
      challengeWindowSeconds: config.challengeWindowSeconds,
      arbitrationTimeoutSeconds: config.arbitrationTimeoutSeconds,
    },
    erc3009DepositCollector: { escrow: contracts.channelEscrow },
    daCertMirror: {
      messenger: config.messenger ?? messengerPredeploy,
      anchor: config.daCertAnchor ?? zeroAddress,
    },
    ...marketAnswers(config, contracts),
  };
}

function marketAnswers(
  config: DeployConfig,
  contracts: ContractAddresses,
): Partial<Record<ContractName, Record<string, unknown>>> {
  const { openToken: token, stakeVault: vault, permissions: authority, timelock } = contracts;
  return {
    modelCurve: { reserveToken: token },
    curveFactory: { implementation: contracts.modelCurve, proposals: contracts.modelProposals },
    modelProposals: {
      token,
      datanetRegistry: contracts.datanetRegistry,
      modelRegistry: contracts.modelRegistry,
      vault,
      factory: contracts.curveFactory,
      authority,
      bondAmount: config.bondAmountWei,
      votingPeriodSeconds: config.votingPeriodSeconds,
      quorumBps: proposalQuorumBps,
      rulingTimeoutSeconds: config.arbitrationTimeoutSeconds,
    },
    governor: {
      token,
      timelock,
      votingDelay: config.votingDelaySeconds,
      votingPeriod: config.votingPeriodSeconds,
      lateQuorumVoteExtension: config.votingDelaySeconds,
    },
    datanetDao: { registry: contracts.datanetRegistry, vault },
    datanetDaoFactory: { implementation: contracts.datanetDao },
  };
}

/** A registry's address is a proxy, whose constructor is not the registry's. */
function codeOf(name: ContractName, openKind: OpenKind = "minted"): { abi: Abi; bytecode: Hex } {
  if (name === "openToken" && openKind === "wrapped")
    return { abi: wrappedOpenAbi, bytecode: bytecodes.wrappedOpen };
  if (name === "datanetRegistry" || name === "modelRegistry")
    return { abi: registryProxyAbi, bytecode: bytecodes.registryProxy };
  if (name === "governor") return { abi: tributaryGovernorAbi, bytecode: bytecodes.tributaryGovernor };
  const artefact = name.replace(/Code$/, "");
  invariant(artefact in bytecodes, `${artefact} has bytecode`);
  return { abi: abis[name], bytecode: bytecodes[artefact as keyof typeof bytecodes] };
}

function constructorArgs(
  deployer: Address,
  config: DeployConfig,
  contracts: ContractAddresses,
): Record<ContractName, unknown[]> {
  const { openToken, permissions, stakeVault, timelock, rewardDistributor, modelProposals } = contracts;
  const { treasury, nodeBps, treasuryBps, bondAmountWei, nodeStakeMinWei, faultBondWei } = config;
  return {
    openToken: config.openKind === "wrapped" ? [] : [deployer],
    timelock: [BigInt(config.timelockDelaySeconds), contracts.governor],
    permissions: [deployer],
    stakeVault: [
      openToken,
      contracts.datanetRegistry,
      contracts.settlementHub,
      modelProposals,
      treasury,
      BigInt(config.unstakeCooldownSeconds),
    ],
    datanetRegistryCode: [stakeVault, contracts.attributionLedger, permissions, timelock],
    datanetRegistry: [contracts.datanetRegistryCode],
    modelRegistryCode: [contracts.datanetRegistry, timelock],
    modelRegistry: [contracts.modelRegistryCode],
    channelEscrow: [openToken],
    rewardDistributor: [openToken, contracts.attributionLedger],
    settlementHub: [
      openToken,
      contracts.channelEscrow,
      stakeVault,
      faultBondWei,
      BigInt(config.answerWindowSeconds),
      contracts.modelRegistry,
      rewardDistributor,
      treasury,
      nodeBps,
      treasuryBps,
      nodeStakeMinWei,
      permissions,
    ],
    attributionLedger: [
      openToken,
      rewardDistributor,
      contracts.daCertMirror,
      permissions,
      bondAmountWei,
      BigInt(config.challengeWindowSeconds),
      BigInt(config.arbitrationTimeoutSeconds),
    ],
    erc3009DepositCollector: [contracts.channelEscrow],
    ...marketArgs(config, contracts),
  };
}

type Market =
  | "modelCurve"
  | "curveFactory"
  | "modelProposals"
  | "governor"
  | "daCertMirror"
  | "datanetDao"
  | "datanetDaoFactory";

function marketArgs(config: DeployConfig, contracts: ContractAddresses): Record<Market, unknown[]> {
  const { openToken, permissions, stakeVault, timelock, modelProposals } = contracts;
  return {
    modelCurve: [openToken],
    curveFactory: [contracts.modelCurve, modelProposals],
    modelProposals: [
      openToken,
      contracts.datanetRegistry,
      contracts.modelRegistry,
      stakeVault,
      contracts.curveFactory,
      permissions,
      config.bondAmountWei,
      BigInt(config.votingPeriodSeconds),
      proposalQuorumBps,
      BigInt(config.arbitrationTimeoutSeconds),
    ],
    governor: [
      openToken,
      timelock,
      config.votingDelaySeconds,
      config.votingPeriodSeconds,
      config.votingDelaySeconds,
    ],
    daCertMirror: [config.messenger ?? messengerPredeploy, config.daCertAnchor ?? zeroAddress],
    datanetDao: [contracts.datanetRegistry, stakeVault],
    datanetDaoFactory: [contracts.datanetDao],
  };
}

/** Which role may call what. All else of the AccessManager's is its admin's, the Timelock's. */
const permitted = [
  ["attributionLedger", "propose", "poster"],
  ["datanetRegistry", "recordUsage", "poster"],
  ["attributionLedger", "resolveDispute", "arbiter"],
  ["modelProposals", "resolveReport", "arbiter"],
  ["attributionLedger", "pauseIntake", "guardian"],
  ["attributionLedger", "resumeIntake", "guardian"],
  ["settlementHub", "pauseIntake", "guardian"],
  ["settlementHub", "resumeIntake", "guardian"],
] as const;

/** Roles and their first holders, and which role may call which function. */
export function handedOver(config: DeployConfig, contracts: ContractAddresses) {
  const { poster, arbiter, guardian } = config;
  return {
    functions: permitted.map(([name, functionName, role]) => ({
      target: contracts[name],
      selector: selectorOf(name, functionName),
      role: roles[role],
    })),
    grants: [
      [roles.poster, poster],
      [roles.arbiter, arbiter],
      [roles.guardian, guardian],
      [roles.admin, contracts.timelock],
    ] as [bigint, Address][],
  };
}

/** In one call: functions to roles, roles to their first holders, the admin's to the Timelock, and the deployer out. */
function handOver(deployer: Address, config: DeployConfig, contracts: ContractAddresses): Hex {
  const call = (functionName: string, args: unknown[]) =>
    encodeFunctionData({ abi: permissionsAbi as Abi, functionName, args });
  const { functions, grants } = handedOver(config, contracts);
  const calls = [
    ...functions.map(({ target, selector, role }) =>
      call("setTargetFunctionRole", [target, [selector], role]),
    ),
    ...grants.map(([role, account]) => call("grantRole", [role, account, 0])),
    call("renounceRole", [roles.admin, deployer]),
  ];
  return call("multicall", [calls]);
}

function selectorOf(name: ContractName, functionName: string): Hex {
  const abi: Abi = abis[name];
  const item = abi.find((candidate) => candidate.type === "function" && candidate.name === functionName);
  invariant(item?.type === "function", `${name} has ${functionName}`);
  return toFunctionSelector(item);
}
