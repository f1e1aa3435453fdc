import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Abi, type Log, parseEventLogs } from "viem";
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

/** The collector keeps nothing and has no events. */
type Recording = Exclude<ContractName, "erc3009DepositCollector">;
const names = Object.keys(abis).filter((name) => name !== "erc3009DepositCollector") as Recording[];
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
  deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder });
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
  expect(slots.length).toBeGreaterThan(2);
  expect(slots).toEqual(await Promise.all(reads));
});

function replay(name: Recording): Slots {
  const own = logsOf(name);
  const { challengeWindowSeconds } = deployment.config;
  switch (name) {
    case "openToken":
      return replayOpenToken(own);
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
      });
  }
}

function logsOf(name: Recording): Log[] {
  return logs.filter(({ address }) => address.toLowerCase() === deployment.contracts[name].toLowerCase());
}
