import type { Hex } from "viem";
import {
  type GateVerdict,
  type JudgedContribution,
  type PublicFacts,
  reputationsOf,
} from "#engine/reputation/history";
import type { Standing } from "#settlement/blob/provenance";
import { trainRowsMax } from "#settlement/blob/training/settings";
import type { CheckedEpoch, Header } from "./epoch.ts";
import { check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";

/** `outcome` of ContributionResolved. */
const outcomes: Record<number, JudgedContribution["outcome"]> = { 2: "accepted", 3: "rejected", 4: "lapsed" };

/**
 * No contributor may be attenuated less than resolutions and slashings in the chain's logs allow. Copies only add to what is
 * held against him, and take every contribution to find (`tributary rebuild`). The gate of an adapter whose owner owned the
 * Datanet counts too: its verdicts are the engine's, so the bound is what he would have had all of them passed.
 */
export async function checkStandings(
  sources: Sources,
  { header, provenance }: CheckedEpoch,
  headers: readonly Header[],
  report: Report,
): Promise<void> {
  const { toBlock, epoch } = header;
  const { standings } = provenance;
  const facts = await factsFromLogs(sources, toBlock);
  const gates = await possibleGates(sources, toBlock, facts.contributions);
  const toBlocks = headers.filter((one) => one.epoch <= epoch).map((one) => one.toBlock);
  const reputations = reputationsOf({ ...facts, gates }, toBlocks);
  const wrong = standings.find(
    ({ account, attenuationWad }) => attenuationWad > reputations.contributorWad(account, []),
  );
  const text = `${standings.length} attenuations, none above what votes and slashings allow`;
  const gated = new Set(gates.map(({ modelId }) => modelId)).size;
  const trust =
    gated === 0 ? "" : `, had every record passed the gates of ${gated} adapters of Datanet owners`;
  check(report, "standings", null, wrong === undefined, wrong ? faultOf(wrong) : `${text}${trust}`);
}

/**
 * Verdicts that may speak for contributors: of adapters trained by an account that ever owned a Datanet, all records passed
 * of contributions to Datanets they name. More than the engine can have counted, and as late as can be: evidence fades.
 */
async function possibleGates(
  sources: Sources,
  toBlock: bigint,
  contributions: readonly JudgedContribution[],
): Promise<GateVerdict[]> {
  const [trained, registered, used, created, transferred] = await Promise.all([
    sources.events("ModelRegistry", "TrainingManifestPublished", toBlock),
    sources.events("ModelRegistry", "ModelRegistered", toBlock),
    sources.events("ModelRegistry", "DatanetUsed", toBlock),
    sources.events("DatanetRegistry", "DatanetCreated", toBlock),
    sources.events("DatanetRegistry", "DatanetOwnershipTransferred", toBlock),
  ]);
  const modelIds = new Set(trained.map(({ args }) => args.modelId));
  const owners = new Set([
    ...created.map(({ args }) => args.owner),
    ...transferred.map(({ args }) => args.to),
  ]);
  const models = registered.filter(({ args }) => modelIds.has(args.modelId) && owners.has(args.owner));
  return models.flatMap(({ args: { modelId, owner } }) => {
    const own = used.filter(({ args }) => args.modelId === modelId).map(({ args }) => args.datanetId);
    const learned = contributions.filter(
      ({ datanetId, outcome }) => own.includes(datanetId) && outcome === "accepted",
    );
    return learned.flatMap(({ contributionId, items }) =>
      Array.from({ length: Math.min(items, trainRowsMax) }, (_, index) => ({
        ...{ contributionId, modelId, chunkId: `${index}`, passes: true, block: toBlock },
        ...{ modelOwner: owner, datanetOwner: owner },
      })),
    );
  });
}

function faultOf({ account, attenuationWad }: Standing): string {
  return `${account} is attenuated to ${attenuationWad} wad, less than the log's events ask for`;
}

async function factsFromLogs(sources: Sources, toBlock: bigint): Promise<Omit<PublicFacts, "gates">> {
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
  return { contributions, slashings: [...new Map(slashings).values()], copies: [] };
}

function lowercase(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
