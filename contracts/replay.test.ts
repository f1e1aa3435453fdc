import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Abi, type Address, encodeAbiParameters, keccak256, type Log, parseEventLogs } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { abis, type ContractName } from "#contracts/deploy";
import {
  chainClient,
  deployContracts,
  devAccount,
  startAnvil,
  type TestChain,
  type TestDeployment,
} from "#schema/testing/stack";
import {
  replayDaCertMirror,
  replayDatanetDaoFactory,
  replayGovernor,
  replayPermissions,
  replayTimelock,
} from "./test/governance-replay.ts";
import { live } from "./test/life.ts";
import { replayCurveFactory, replayModelCurve, replayModelProposals } from "./test/market-replay.ts";
import {
  replayAttributionLedger,
  replayChannelEscrow,
  replayDatanetRegistry,
  replayModelRegistry,
  replayOpenToken,
  replayRewardDistributor,
  replaySettlementHub,
  replayStakeVault,
  type Slots,
} from "./test/replay.ts";

/** Without events of their own: the collector, and the code behind proxies and clones. */
const others = [
  "erc3009DepositCollector",
  "datanetRegistryCode",
  "modelRegistryCode",
  "modelCurve",
  "datanetDao",
] as const;
type Recording = Exclude<ContractName, (typeof others)[number]>;
const names = (Object.keys(abis) as ContractName[]).filter(
  (name): name is Recording => !others.some((other) => other === name),
);
/** Events of OpenZeppelin's that never happen here: the signing domain and the admins of the Timelock's roles are fixed. */
const foreignEvents = ["openToken:EIP712DomainChanged", "timelock:RoleAdminChanged"];

let folder: string;
let anvil: TestChain;
let deployment: TestDeployment;
let logs: Log[];
const timestamps = new Map<bigint, bigint>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-replay-"));
  anvil = await startAnvil();
  // Windows longer than any step of the life takes on a busy machine.
  const config = { challengeWindowSeconds: 60, daCertAnchor: devAccount(0).address };
  deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder, config });
  await live({ rpcUrl: anvil.rpcUrl, deployment });
  const client = chainClient(anvil.rpcUrl);
  logs = await client.getLogs({ address: Object.values(deployment.contracts), fromBlock: 0n });
  for (const blockNumber of new Set(logs.map((log) => log.blockNumber!))) {
    timestamps.set(blockNumber, (await client.getBlock({ blockNumber })).timestamp);
  }
});

afterAll(async () => {
  await anvil?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it.each(names)("emits every event of %s at least once in the scripted life", (name) => {
  const declared = (abis[name] as Abi).flatMap((item) => (item.type === "event" ? [item.name] : []));
  const emitted = parseEventLogs({ abi: abis[name] as Abi, logs: logsOf(name) }).map(
    ({ eventName }) => eventName,
  );
  const foreign = (event: string) =>
    [`${name}:${event}`, `openToken:${event}`].some((e) => foreignEvents.includes(e));
  const expected = declared.filter((event) => !foreign(event));
  expect(expected.filter((event) => !emitted.includes(event))).toEqual([]);
});

it.each(names)("rebuilds the storage of %s from its logs alone", async (name) => {
  await expectStored(replay(name), deployment.contracts[name], abis[name] as Abi);
});

it("rebuilds the storage of a model's curve from its logs alone", async () => {
  const client = chainClient(anvil.rpcUrl);
  const [created] = parseEventLogs({ abi: abis.curveFactory, logs: logsOf("curveFactory") });
  const { curve } = created!.args;
  const curveLogs = await client.getLogs({ address: curve, fromBlock: 0n });
  await expectStored(replayModelCurve(curveLogs), curve, abis.modelCurve as Abi);
});

it("rebuilds the storage of a Datanet's DAO from its logs alone", async () => {
  const client = chainClient(anvil.rpcUrl);
  const [created] = parseEventLogs({ abi: abis.datanetDaoFactory, logs: logsOf("datanetDaoFactory") });
  const { dao } = created!.args;
  const daoLogs = await client.getLogs({ address: dao, fromBlock: 0n });
  const emitted = parseEventLogs({ abi: abis.datanetDao, logs: daoLogs }).map(({ eventName }) => eventName);
  const expected = [
    "ProposalCreated",
    "ProposalExecuted",
    "ProposalCanceled",
    "VoteCast",
    "VoteCastWithParams",
  ];
  expect(expected.filter((event) => !emitted.includes(event as never))).toEqual([]);
  await expectStored(replayGovernor(daoLogs), dao, abis.datanetDao as Abi);
});

async function expectStored(slots: Slots, address: Address, abi: Abi): Promise<void> {
  const client = chainClient(anvil.rpcUrl);
  const reads = slots.all().map(async ({ functionName, args }) => ({
    functionName,
    args,
    value: await client.readContract({ address, abi, functionName, args }),
  }));
  expect(reads.length).toBeGreaterThan(0);
  expect(slots.all()).toEqual(await Promise.all(reads));
}

function replay(name: Recording): Slots {
  const own = logsOf(name);
  const { challengeWindowSeconds } = deployment.config;
  switch (name) {
    case "openToken":
      return replayOpenToken(own);
    case "modelProposals":
      return replayModelProposals(own, (block) => timestamps.get(block)!);
    case "curveFactory":
      return replayCurveFactory(own);
    case "datanetDaoFactory":
      return replayDatanetDaoFactory(own);
    case "daCertMirror":
      return replayDaCertMirror(own);
    case "governor":
      return replayGovernor(own);
    case "timelock":
      return replayTimelock(own, (block) => timestamps.get(block)!);
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
      return replayAttributionLedger(own, {
        challengeWindowSeconds,
        timestampOf: (block) => timestamps.get(block)!,
        genesis: keccak256(
          encodeAbiParameters(
            [{ type: "uint256" }, { type: "address" }],
            [BigInt(deployment.chainId), deployment.contracts.attributionLedger],
          ),
        ),
      });
  }
}

function logsOf(name: Recording): Log[] {
  return logs.filter(({ address }) => address.toLowerCase() === deployment.contracts[name].toLowerCase());
}
