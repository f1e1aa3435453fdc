/** What a chain's logs say is stored against what is stored, contract by contract. */
import { type Abi, type Address, encodeAbiParameters, keccak256, type Log, parseEventLogs } from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import type { chainClient, TestDeployment } from "#schema/testing/stack";
import {
  replayDaCertMirror,
  replayDatanetDaoFactory,
  replayGovernor,
  replayPermissions,
  replayTimelock,
} from "./governance-replay.ts";
import { replayCurveFactory, replayModelCurve, replayModelProposals } from "./market-replay.ts";
import {
  replayAttributionLedger,
  replayChannelEscrow,
  replayDatanetRegistry,
  replayModelRegistry,
  replayOpenToken,
  replayRewardDistributor,
  replaySettlementHub,
  replayStakeVault,
  type Slot,
  type Slots,
} from "./replay.ts";

/** Without events of their own: the collector, and the code behind proxies and clones. */
const others = [
  "erc3009DepositCollector",
  "datanetRegistryCode",
  "modelRegistryCode",
  "modelCurve",
  "datanetDao",
] as const;
export type Recording = Exclude<ContractName, (typeof others)[number]>;
export const recordings = (Object.keys(abis) as ContractName[]).filter(
  (name): name is Recording => !others.some((other) => other === name),
);

type Client = Pick<ReturnType<typeof chainClient>, "getLogs" | "getBlock" | "readContract">;

/** All logs of a deployment, from its first block on, and the times of their blocks. */
export type Recorded = { deployment: TestDeployment; logs: Log[]; timestamps: Map<bigint, bigint> };

export async function record(client: Client, deployment: TestDeployment): Promise<Recorded> {
  const logs = await client.getLogs({ address: Object.values(deployment.contracts), fromBlock: 0n });
  const timestamps = new Map<bigint, bigint>();
  for (const blockNumber of new Set(logs.map((log) => log.blockNumber!))) {
    timestamps.set(blockNumber, (await client.getBlock({ blockNumber })).timestamp);
  }
  return { deployment, logs, timestamps };
}

export function logsOf({ deployment, logs }: Recorded, name: Recording): Log[] {
  return logs.filter(({ address }) => address.toLowerCase() === deployment.contracts[name].toLowerCase());
}

/** A getter whose answer is not what the logs say. */
export type Difference = Slot & { stored: unknown };

/**
 * @returns how many getters were asked, and those that answered something else. Every answer is taken of the newest
 * block: nothing may happen meanwhile.
 */
export async function compare(
  client: Client,
  slots: Slots,
  { address, abi }: { address: Address; abi: Abi },
): Promise<{ count: number; differences: Difference[] }> {
  const differences: Difference[] = [];
  for (const slot of slots.all()) {
    const { functionName, args, value } = slot;
    const stored = await client.readContract({ address, abi, functionName, args });
    if (textOf(stored) !== textOf(value)) differences.push({ ...slot, stored });
  }
  return { count: slots.all().length, differences };
}

/** The clones of one factory: their addresses and ABI, and how their logs are replayed. */
export function clonesOf(
  recorded: Recorded,
): { address: Address; abi: Abi; replay: (logs: Log[]) => Slots }[] {
  const curves = parseEventLogs({ abi: abis.curveFactory, logs: logsOf(recorded, "curveFactory") });
  const daos = parseEventLogs({ abi: abis.datanetDaoFactory, logs: logsOf(recorded, "datanetDaoFactory") });
  return [
    ...curves.map(({ args }) => ({
      address: args.curve,
      abi: abis.modelCurve as Abi,
      replay: replayModelCurve,
    })),
    ...daos.map(({ args }) => ({ address: args.dao, abi: abis.datanetDao as Abi, replay: replayGovernor })),
  ];
}

export function replay(recorded: Recorded, name: Recording): Slots {
  const own = logsOf(recorded, name);
  const timestampOf = (block: bigint) => recorded.timestamps.get(block)!;
  switch (name) {
    case "openToken":
      return replayOpenToken(own);
    case "modelProposals":
      return replayModelProposals(own, timestampOf);
    case "curveFactory":
      return replayCurveFactory(own);
    case "datanetDaoFactory":
      return replayDatanetDaoFactory(own);
    case "daCertMirror":
      return replayDaCertMirror(own);
    case "governor":
      return replayGovernor(own);
    case "timelock":
      return replayTimelock(own, timestampOf);
    case "permissions":
      return replayPermissions(own);
    case "stakeVault":
      return replayStakeVault(own);
    case "datanetRegistry":
      return replayDatanetRegistry(own);
    case "modelRegistry":
      return replayModelRegistry(own);
    case "channelEscrow":
      return replayChannelEscrow(own);
    case "settlementHub":
      return replaySettlementHub(own);
    case "rewardDistributor":
      return replayRewardDistributor(own);
    case "attributionLedger":
      return replayAttributionLedger(own, genesisOf(recorded.deployment));
  }
}

/** headerHash() before there was an epoch. */
function genesisOf({ chainId, contracts }: TestDeployment) {
  const parts = [{ type: "uint256" }, { type: "address" }] as const;
  return keccak256(encodeAbiParameters(parts, [BigInt(chainId), contracts.attributionLedger]));
}

/** Equal texts, equal values: integers with their type, names in order. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part) => {
    if (typeof part === "bigint") return `${part}n`;
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
