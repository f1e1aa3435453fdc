import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Abi, parseEther } from "viem";
import { abis } from "#contracts/deploy";
import { deployContracts, devAccount, startAnvil } from "#schema/testing/stack";
import { clonesOf, compare, type Difference, record, recordings, replay } from "../comparison.ts";
import { happenings as ofChannels } from "./channels.ts";
import { happenings as ofDaos } from "./daos.ts";
import { happenings as ofData } from "./data.ts";
import { connect, Draw, liveOn, settleIn, type Tally } from "./life.ts";
import { happenings as ofMarket } from "./market.ts";
import { happenings as ofMoney } from "./money.ts";

/** Of every life's first block, so that a seed tells all of it. */
const genesisSeconds = 1_800_000_000;

type Outcome = { differences: Difference[]; getterCount: number; tally: Tally };

/** Lives `steps` steps on a chain of its own and compares every getter with what the logs say. */
export async function liveAtRandom({ seed, steps }: { seed: string; steps: number }): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "tributary-random-"));
  try {
    await using anvil = await startAnvil({ timestamp: genesisSeconds });
    const config = { daCertAnchor: devAccount(0).address, challengeWindowSeconds: 20 };
    const deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder, config });
    const life = connect({ rpcUrl: anvil.rpcUrl, deployment }, new Draw(seed));
    await life.client.setBlockTimestampInterval({ interval: 1 });
    await life.client.setBalance({ address: deployment.contracts.timelock, value: parseEther("100") });
    await settleIn(life);
    await liveOn(life, [...ofData, ...ofChannels, ...ofMoney, ...ofMarket, ...ofDaos], steps);
    return { ...(await compareAll(life)), tally: life.tally };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compareAll({ client, deployment }: ReturnType<typeof connect>) {
  const recorded = await record(client, deployment);
  const compared = [];
  for (const name of recordings) {
    const target = { address: deployment.contracts[name], abi: abis[name] as Abi };
    compared.push(await compare(client, replay(recorded, name), target));
  }
  for (const { replay, ...target } of clonesOf(recorded)) {
    const logs = await client.getLogs({ address: target.address, fromBlock: 0n });
    compared.push(await compare(client, replay(logs), target));
  }
  return {
    differences: compared.flatMap(({ differences }) => differences),
    getterCount: compared.reduce((sum, { count }) => sum + count, 0),
  };
}
