import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Abi, parseEventLogs } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { abis } from "#contracts/deploy";
import { chainClient, deployContracts, devAccount, startAnvil, type TestChain } from "#schema/testing/stack";
import {
  clonesOf,
  compare,
  logsOf,
  type Recorded,
  type Recording,
  record,
  recordings,
  replay,
} from "./test/comparison.ts";
import { live } from "./test/life.ts";

/** Events of OpenZeppelin's that never happen here: the signing domain and the admins of the Timelock's roles are fixed. */
const foreignEvents = ["openToken:EIP712DomainChanged", "timelock:RoleAdminChanged"];

let folder: string;
let anvil: TestChain;
let recorded: Recorded;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-replay-"));
  anvil = await startAnvil();
  // Windows longer than any step of the life takes on a busy machine.
  const config = { challengeWindowSeconds: 60, daCertAnchor: devAccount(0).address };
  const deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder, config });
  await live({ rpcUrl: anvil.rpcUrl, deployment });
  recorded = await record(chainClient(anvil.rpcUrl), deployment);
});

afterAll(async () => {
  await anvil?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it.each(recordings)("emits every event of %s at least once in the scripted life", (name) => {
  const declared = (abis[name] as Abi).flatMap((item) => (item.type === "event" ? [item.name] : []));
  const emitted = parseEventLogs({ abi: abis[name] as Abi, logs: logsOf(recorded, name) }).map(
    ({ eventName }) => eventName,
  );
  const foreign = (event: string) =>
    [`${name}:${event}`, `openToken:${event}`].some((e) => foreignEvents.includes(e));
  const expected = declared.filter((event) => !foreign(event));
  expect(expected.filter((event) => !emitted.includes(event))).toEqual([]);
});

it.each(recordings)("rebuilds the storage of %s from its logs alone", async (name: Recording) => {
  const address = recorded.deployment.contracts[name];
  const client = chainClient(anvil.rpcUrl);
  const { count, differences } = await compare(client, replay(recorded, name), {
    address,
    abi: abis[name] as Abi,
  });
  expect(differences).toEqual([]);
  expect(count).toBeGreaterThan(0);
});

it("notices a log that is missing", async () => {
  const name = "rewardDistributor";
  const [last] = logsOf(recorded, name).slice(-1);
  const shortened = { ...recorded, logs: recorded.logs.filter((log) => log !== last) };
  const target = { address: recorded.deployment.contracts[name], abi: abis[name] as Abi };
  const { differences } = await compare(chainClient(anvil.rpcUrl), replay(shortened, name), target);
  expect(differences).not.toEqual([]);
});

it("rebuilds the storage of a model's curve and of a Datanet's DAO from their logs alone", async () => {
  const client = chainClient(anvil.rpcUrl);
  const emitted: string[] = [];
  for (const { address, abi, replay } of clonesOf(recorded)) {
    const logs = await client.getLogs({ address, fromBlock: 0n });
    emitted.push(...parseEventLogs({ abi, logs }).map(({ eventName }) => eventName));
    const { count, differences } = await compare(client, replay(logs), { address, abi });
    expect(differences).toEqual([]);
    expect(count).toBeGreaterThan(0);
  }
  const expected = ["Bought", "Sold", "FeesCollected", "ProposalCreated", "ProposalExecuted"];
  expect(emitted).toEqual(expect.arrayContaining([...expected, "ProposalCanceled", "VoteCastWithParams"]));
});
