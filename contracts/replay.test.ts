import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Abi, type Address, encodeAbiParameters, keccak256, type Log, parseEventLogs } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { abis, type ContractName } from "#contracts/deploy";
import {
  chainClient,
  deployContracts,
  startAnvil,
  type TestChain,
  type TestDeployment,
} from "#schema/testing/stack";
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

/** Without events of their own: collector, code behind proxies and clones; and what is OpenZeppelin's alone. */
const others = [
  "erc3009DepositCollector",
  "datanetRegistryCode",
  "modelRegistryCode",
  "modelCurve",
  "timelock",
  "permissions",
  "governor",
] as const;
type Recording = Exclude<ContractName, (typeof others)[number]>;
const names = (Object.keys(abis) as ContractName[]).filter(
  (name): name is Recording => !others.some((other) => other === name),
);
/** Events of OpenZeppelin's token that our contracts do not use. */
const foreignEvents = ["Approval", "DelegateChanged", "DelegateVotesChanged", "EIP712DomainChanged"];

let folder: string;
let anvil: TestChain;
let deployment: TestDeployment;
let logs: Log[];
const timestamps = new Map<bigint, bigint>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-replay-"));
  anvil = await startAnvil();
  const config = { challengeWindowSeconds: 60 }; // Longer than any step of the life takes on a busy machine.
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
  const expected = declared.filter((event) => !foreignEvents.includes(event));
  expect(expected.filter((event) => !emitted.includes(event))).toEqual([]);
});

it.each(names)("rebuilds the storage of %s from its logs alone", async (name) => {
  const client = chainClient(anvil.rpcUrl);
  const slots = replay(name).all();
  const reads = slots.map(async ({ functionName, args }) => ({
    functionName,
    args,
    value: await client.readContract({
      address: deployment.contracts[name],
      abi: abis[name] as Abi,
      functionName,
      args,
    }),
  }));
  expect(slots.length).toBeGreaterThan(0);
  expect(slots).toEqual(await Promise.all(reads));
});

it("rebuilds the storage of a model's curve from its logs alone", async () => {
  const client = chainClient(anvil.rpcUrl);
  const [created] = parseEventLogs({ abi: abis.curveFactory, logs: logsOf("curveFactory") });
  const curve = (created!.args as { curve: Address }).curve;
  const slots = replayModelCurve(await client.getLogs({ address: curve, fromBlock: 0n })).all();
  const reads = slots.map(async ({ functionName, args }) => ({
    functionName,
    args,
    value: await client.readContract({ address: curve, abi: abis.modelCurve as Abi, functionName, args }),
  }));
  expect(slots.length).toBeGreaterThan(2);
  expect(slots).toEqual(await Promise.all(reads));
});

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
