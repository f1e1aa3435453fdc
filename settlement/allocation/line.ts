import { zeroAddress } from "viem";
import { apportion, sum } from "#schema/apportion";
import { chunkRoles, reasons } from "../blob/codes.ts";
import { type Entry, validatorsPaidMax } from "../blob/provenance.ts";
import { carriedEntry } from "./carry.ts";
import type { ContributionFacts, Facts, InfluenceFacts } from "./facts.ts";
import { wad } from "./wad.ts";

/** As what a chunk moved an answer: a passage in context, or a training record of the adapter. */
export type Player = keyof typeof chunkRoles;

/** What one chunk's line of a receipt gave, and what the epoch's netting left of it: the parts sum to givenWei. */
export type LineParts = Record<"givenWei" | "gatedWei" | "nettedWei" | "attenuatedWei" | "wei", bigint>;

/** A chunk with its line; `parts` are null where it gave nothing, `zeroReason` then says why. */
export type ChunkLine = InfluenceFacts & { player: Player; parts: LineParts | null; zeroReason: number };

/**
 * Entries of one line: first always the contributor's, with the reason where it is zero; then owner and validators,
 * ascending; then what is carried, by reason. What is paid is split in that order by largest remainder.
 */
export function lineEntries(line: ChunkLine, facts: Facts): Entry[] {
  const contribution = facts.contributionOf(line.chunkId);
  const entry = entryOf(line, contribution);
  const { contributor: role } = chunkRoles[line.player];
  const contributor = contribution?.contributor ?? zeroAddress;
  const { parts } = line;
  if (parts === null) return [entry(role, contributor, 0n, line.zeroReason)];
  const refusal = refusalOf(line, contribution);
  if (refusal !== null)
    return [entry(role, contributor, 0n, refusal), ...carry(line, contribution, parts.givenWei, refusal)];
  const { noveltyWad } = facts.membershipOf(line.chunkId) ?? { noveltyWad: wad };
  const paidWei = (parts.wei * noveltyWad) / wad;
  const repeatedWei = parts.wei - paidWei;
  const shared = paidWei > 0n ? shareEntries(contribution!, line, paidWei) : [];
  const zero = entry(role, contributor, 0n, withheldReason(parts, repeatedWei));
  return [
    ...(paidWei > 0n ? shared : [zero]),
    ...carry(line, contribution, parts.nettedWei, reasons.netted),
    ...carry(line, contribution, parts.attenuatedWei, reasons.attenuated),
    ...carry(line, contribution, repeatedWei, reasons.notNovel),
  ];
}

/** The one zero entry of a candidate that is no line of its own, with its reason. */
export function zeroEntry(line: InfluenceFacts & { player: Player }, reason: number, facts: Facts): Entry {
  const contribution = facts.contributionOf(line.chunkId);
  const { contributor: role } = chunkRoles[line.player];
  return entryOf(line, contribution)(role, contribution?.contributor ?? zeroAddress, 0n, reason);
}

/** Why nothing of a line may be paid, whatever it gave; null where it may. */
function refusalOf({ parts }: ChunkLine, contribution: ContributionFacts | undefined): number | null {
  if (contribution === undefined) return reasons.noRecipient;
  if (contribution.isRetracted) return reasons.retracted;
  return parts!.gatedWei > 0n ? reasons.gated : null;
}

/** The largest part of a line of which nothing is left; of equal ones the first taken. */
function withheldReason(parts: LineParts, repeatedWei: bigint): number {
  const taken = [
    { reason: reasons.netted, wei: parts.nettedWei },
    { reason: reasons.attenuated, wei: parts.attenuatedWei },
    { reason: reasons.notNovel, wei: repeatedWei },
  ];
  const most = taken.reduce((best, part) => (part.wei > best.wei ? part : best));
  return most.wei > 0n ? most.reason : reasons.roundsToZero;
}

type MakeEntry = ReturnType<typeof entryOf>;

function entryOf({ chunkId, scoreWad }: InfluenceFacts, contribution: ContributionFacts | undefined) {
  return (role: number, account: Entry["account"], amountWei: bigint, reason?: number): Entry => ({
    role,
    subject: chunkId,
    contributionBatchId: contribution?.contributionBatchId ?? 0n,
    account,
    scoreWad,
    amountWei,
    reason: reason ?? (amountWei > 0n ? reasons.paid : reasons.roundsToZero),
  });
}

function carry(
  { chunkId, scoreWad }: InfluenceFacts,
  contribution: ContributionFacts | undefined,
  amountWei: bigint,
  reason: number,
): Entry[] {
  if (amountWei === 0n) return [];
  const contributionBatchId = contribution?.contributionBatchId ?? 0n;
  return [carriedEntry({ subject: chunkId, contributionBatchId, scoreWad, amountWei, reason })];
}

function shareEntries(c: ContributionFacts, line: ChunkLine, amountWei: bigint): Entry[] {
  const entry: MakeEntry = entryOf(line, c);
  const roles = chunkRoles[line.player];
  const contributorBps = 10_000 - c.ownerBps - c.validatorBps;
  const shares = apportion(amountWei, [contributorBps, c.ownerBps, c.validatorBps].map(BigInt));
  const [contributorWei, ownerWei, validatorsWei] = shares as [bigint, bigint, bigint];
  const entries = [entry(roles.contributor, c.contributor, contributorWei)];
  if (c.ownerBps > 0) entries.push(entry(roles.datanetOwner, c.datanetOwner, ownerWei));
  const votes = heaviest(c.votes);
  const weights = votes.map(({ weight }) => weight);
  if (sum(weights) === 0n) return [...entries, ...carry(line, c, validatorsWei, reasons.noRecipient)];
  if (c.validatorBps === 0) return entries;
  const parts = apportion(validatorsWei, weights);
  return [...entries, ...votes.map(({ validator }, i) => entry(roles.validator, validator, parts[i]!))];
}

/** The votes that are paid for: the heaviest, of equal ones the lower address, in the order given. */
function heaviest(votes: ContributionFacts["votes"]): ContributionFacts["votes"] {
  const ranked = votes.map((vote, index) => ({ ...vote, index }));
  return ranked
    .sort((a, b) => (a.weight === b.weight ? a.index - b.index : a.weight > b.weight ? -1 : 1))
    .slice(0, validatorsPaidMax)
    .sort((a, b) => a.index - b.index);
}
