import type { Hex } from "viem";
import { type JudgedContribution, type PublicFacts, reputationsOf } from "#engine/reputation/history";
import type { Standing } from "#settlement/blob/provenance";
import type { CheckedEpoch, Header } from "./epoch.ts";
import { check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";

/** `outcome` of ContributionResolved. */
const outcomes: Record<number, JudgedContribution["outcome"]> = { 2: "accepted", 3: "rejected", 4: "lapsed" };

/**
 * No contributor may be attenuated less than resolutions and slashings in the chain's logs allow. Copies only add to what
 * is held against him, and take every contribution to find (`tributary rebuild`). Where an owner of a Datanet trained an
 * adapter, a passed gate may speak for him too: then nothing is said here.
 */
export async function checkStandings(
  sources: Sources,
  { header, provenance }: CheckedEpoch,
  headers: readonly Header[],
  report: Report,
): Promise<void> {
  const { toBlock, epoch } = header;
  const { standings } = provenance;
  if (await mayGatesCount(sources, toBlock)) {
    const detail = `${standings.length} attenuations taken from the payload: gates of adapters count in them`;
    report({ name: "standings", ok: true, hash: null, detail });
    return;
  }
  const facts = await factsFromLogs(sources, toBlock);
  const toBlocks = headers.filter((one) => one.epoch <= epoch).map((one) => one.toBlock);
  const reputations = reputationsOf(facts, toBlocks);
  const wrong = standings.find(
    ({ account, attenuationWad }) => attenuationWad > reputations.contributorWad(account, []),
  );
  const text = `${standings.length} attenuations, none above what votes and slashings allow`;
  check(report, "standings", null, wrong === undefined, wrong ? faultOf(wrong) : text);
}

/** Whether any adapter was trained by an account that ever owned a Datanet: gates of others count for nobody. */
async function mayGatesCount(sources: Sources, toBlock: bigint): Promise<boolean> {
  const [trained, registered, created, transferred] = await Promise.all([
    sources.events("ModelRegistry", "TrainingManifestPublished", toBlock),
    sources.events("ModelRegistry", "ModelRegistered", toBlock),
    sources.events("DatanetRegistry", "DatanetCreated", toBlock),
    sources.events("DatanetRegistry", "DatanetOwnershipTransferred", toBlock),
  ]);
  const modelIds = new Set(trained.map(({ args }) => args.modelId));
  const datanetOwners = new Set([
    ...created.map(({ args }) => args.owner),
    ...transferred.map(({ args }) => args.to),
  ]);
  return registered.some(({ args }) => modelIds.has(args.modelId) && datanetOwners.has(args.owner));
}

function faultOf({ account, attenuationWad }: Standing): string {
  return `${account} is attenuated to ${attenuationWad} wad, less than the log's events ask for`;
}

async function factsFromLogs(sources: Sources, toBlock: bigint): Promise<PublicFacts> {
  const [submitted, resolved, scored, slashed] = await Promise.all([
    sources.events("DatanetRegistry", "ContributionSubmitted", toBlock),
    sources.events("DatanetRegistry", "ContributionResolved", toBlock),
    sources.events("DatanetRegistry", "ContributionScored", toBlock),
    sources.events("StakeVault", "Slashed", toBlock),
  ]);
  const qualityOf = new Map(scored.map(({ args }) => [args.batchId, args.quality]));
  const submittedOf = new Map(submitted.map(({ args }) => [args.batchId, args]));
  const contributions = resolved.map(({ args: { batchId, outcome }, blockNumber }): JudgedContribution => {
    const { datanetId, contributor, items } = submittedOf.get(batchId)!;
    return {
      contributionId: batchId,
      datanetId,
      contributor: lowercase(contributor),
      items,
      outcome: outcomes[outcome] ?? "lapsed",
      qualityBps: qualityOf.get(batchId) ?? 0,
      block: blockNumber,
      votes: [],
    };
  });
  const resolving = new Set(resolved.map(({ txHash }) => txHash));
  const others = slashed.filter(({ txHash }) => !resolving.has(txHash));
  const slashings = others.map(({ args: { account, scope }, txHash, blockNumber }) => {
    const slashing = { account: lowercase(account), scope, block: blockNumber };
    return [`${txHash} ${scope} ${slashing.account}`, slashing] as const;
  });
  return { contributions, slashings: [...new Map(slashings).values()], copies: [], gates: [] };
}

function lowercase(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
