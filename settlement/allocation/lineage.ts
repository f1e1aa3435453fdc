import type { Hex } from "viem";
import { apportion, sum } from "#schema/apportion";
import { invariant } from "#schema/errors";
import { reasons, roles } from "../blob/codes.ts";
import { type Entry, modelsPaidMax } from "../blob/provenance.ts";
import { carriedEntry } from "./carry.ts";
import type { Facts, ModelFacts } from "./facts.ts";

/** Longest chain of parents the registry accepts. */
export const lineageDepthMax = 16;

/**
 * Entries of a model's part: each owner keeps `ownerBps` of what reaches his model, the parents share the rest by
 * weight. A model reached along several paths gets one entry over all of them, and is visited once: children before
 * parents, so the work is linear in the ancestors although the paths may be 4^16. After `modelsPaidMax` models the rest is
 * carried, for the entries of an epoch must fit into a blob.
 */
export function lineage(modelId: Hex, amountWei: bigint, facts: Facts): Entry[] {
  if (amountWei === 0n) return [];
  const waiting = new Map<Hex, bigint>([[modelId, amountWei]]);
  const entries: Entry[] = [];
  const carried: Entry[] = [];
  while (waiting.size > 0 && entries.length + carried.length < modelsPaidMax) {
    const next = deepest([...waiting.keys()], facts);
    const inflowWei = waiting.get(next)!;
    waiting.delete(next);
    const model = facts.modelOf(next);
    if (model === undefined) {
      carried.push(carriedEntry({ subject: next, amountWei: inflowWei, reason: reasons.noRecipient }));
      continue;
    }
    const [ownWei, ...parentsWei] = apportion(inflowWei, shares(model));
    if (model.parents.length === 0 || model.ownerBps > 0) entries.push(ownerEntry(model, ownWei!));
    for (const [i, parent] of model.parents.entries()) {
      if (parentsWei[i]! > 0n) {
        waiting.set(parent.modelId, (waiting.get(parent.modelId) ?? 0n) + parentsWei[i]!);
      }
    }
  }
  const restWei = sum([...waiting.values()]);
  if (restWei > 0n)
    carried.push(carriedEntry({ subject: modelId, amountWei: restWei, reason: reasons.noRecipient }));
  return [...entries, ...carried];
}

function shares({ parents, ownerBps }: ModelFacts): bigint[] {
  if (parents.length === 0) return [1n];
  const passedBps = 10_000n - BigInt(ownerBps);
  return [BigInt(ownerBps) * 10_000n, ...parents.map(({ weightBps }) => passedBps * BigInt(weightBps))];
}

/** The waiting model no other waiting one descends from: greatest depth, then lowest id. Unknown models have none. */
function deepest(modelIds: readonly Hex[], facts: Facts): Hex {
  const depthOf = (modelId: Hex) => facts.modelOf(modelId)?.depth ?? -1;
  const [first] = [...modelIds].sort((a, b) => depthOf(b) - depthOf(a) || (a < b ? -1 : 1));
  invariant(depthOf(first!) <= lineageDepthMax, `lineage of ${first} is deeper than ${lineageDepthMax}`);
  return first!;
}

function ownerEntry({ modelId, owner }: ModelFacts, amountWei: bigint): Entry {
  const reason = amountWei > 0n ? reasons.paid : reasons.roundsToZero;
  return {
    role: roles.modelOwner,
    subject: modelId,
    contributionBatchId: 0n,
    account: owner,
    scoreWad: 0n,
    amountWei,
    reason,
  };
}
