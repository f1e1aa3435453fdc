import { type Hex, keccak256, toHex } from "viem";
import { expect, it } from "vitest";
import { reputationsOf } from "#engine/reputation/history";
import type { Standing } from "#settlement/blob/provenance";
import type { CheckedEpoch, Header } from "./epoch.ts";
import { BrokenLink, type Link } from "./link.ts";
import type { Sources } from "./sources.ts";
import { checkStandings } from "./standings.ts";

const account: Hex = `0x${"a1".repeat(20)}`;
const owner: Hex = `0x${"b2".repeat(20)}`;
const modelId = keccak256(toHex("model"));
const contribution = {
  ...{ contributionId: 1n, datanetId: 1n, contributor: account, items: 2, outcome: "accepted" as const },
  ...{ qualityBps: 9_000, block: 3n, votes: [] },
};
const header = { epoch: 1n, toBlock: 50n } as Header;

/** What reputation says of the account after two accepted records, and after as many gates passed. */
const [voted, gated] = [0, 2].map((passed) => {
  const gates = Array.from({ length: passed }, (_, index) => {
    const one = { contributionId: 1n, modelId, chunkId: `${index}`, passes: true, block: 50n };
    return { ...one, modelOwner: owner, datanetOwner: owner };
  });
  const facts = { contributions: [contribution], slashings: [], copies: [], gates };
  return reputationsOf(facts, [50n]).contributorWad(account, []);
}) as [bigint, bigint];

it("allows what votes and slashings do, and not a millionth more", async () => {
  expect(await verdict(voted, { trainer: null })).toMatch(/none above what votes and slashings allow$/);
  await expect(verdict(voted + 10n ** 12n, { trainer: null })).rejects.toThrow(BrokenLink);
});

it("allows as much as all gates of adapters of Datanet owners could have said, and says so", async () => {
  expect(gated).toBeGreaterThan(voted);
  expect(await verdict(gated, { trainer: owner })).toMatch(/had every record passed the gates of 1 adapters/);
  await expect(verdict(gated + 10n ** 12n, { trainer: owner })).rejects.toThrow(BrokenLink);
});

it("lets gates of strangers' adapters, and of Datanets an adapter does not name, speak for nobody", async () => {
  await expect(verdict(gated, { trainer: account })).rejects.toThrow(BrokenLink);
  await expect(verdict(gated, { trainer: owner, datanetId: 2n })).rejects.toThrow(BrokenLink);
});

/** Detail of the link "standings" of an epoch that attenuates the account to this. */
async function verdict(attenuationWad: bigint, chain: Chain): Promise<string> {
  const standings: Standing[] = [{ modelId, account, attenuationWad }];
  const links: Link[] = [];
  const epoch = { header, provenance: { standings } } as unknown as CheckedEpoch;
  await checkStandings(chainOf(chain), epoch, [header], (link) => void links.push(link));
  return links.find(({ name }) => name === "standings")!.detail;
}

type Chain = { trainer: Hex | null; datanetId?: bigint };

function chainOf({ trainer, datanetId = 1n }: Chain): Sources {
  const log: Record<string, object[]> = {
    ContributionSubmitted: [{ batchId: 1n, datanetId: 1n, contributor: account, items: 2 }],
    ContributionResolved: [{ batchId: 1n, outcome: 2 }],
    ContributionScored: [{ batchId: 1n, quality: 9_000 }],
    DatanetCreated: [{ owner }],
    ...(trainer && {
      TrainingManifestPublished: [{ modelId }],
      ModelRegistered: [{ modelId, owner: trainer }],
      DatanetUsed: [{ modelId, datanetId }],
    }),
  };
  const events = async (_: string, name: string) =>
    (log[name] ?? []).map((args) => ({ args, blockNumber: 3n, txHash: "0x1" }));
  return { events } as unknown as Sources;
}
