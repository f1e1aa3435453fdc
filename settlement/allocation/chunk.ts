import { zeroAddress } from "viem";
import { apportion, sum } from "#schema/apportion";
import { reasons, roles } from "../blob/codes.ts";
import { type Entry, validatorsPaidMax } from "../blob/provenance.ts";
import { carriedEntry } from "./carry.ts";
import type { CandidateFacts, ContributionFacts } from "./facts.ts";

/**
 * Entries of one candidate that earned `amountWei`: first always the contributor's, with the reason where it is zero;
 * then owner and validators, ascending; then what is carried. The shares are split in that order by largest remainder.
 */
export function chunkEntries(
  candidate: CandidateFacts,
  contribution: ContributionFacts | undefined,
  amountWei: bigint,
): Entry[] {
  const entry = entryOf(candidate, contribution);
  const carry = (carriedWei: bigint, reason: number) =>
    carriedEntry({
      subject: candidate.chunkId,
      contributionBatchId: contribution?.contributionBatchId ?? 0n,
      scoreWad: candidate.scoreWad,
      amountWei: carriedWei,
      reason,
    });
  const contributor = contribution?.contributor ?? zeroAddress;
  const withheld =
    contribution === undefined ? reasons.noRecipient : contribution.isRetracted ? reasons.retracted : null;
  if (withheld !== null) {
    const carried = amountWei > 0n ? [carry(amountWei, withheld)] : [];
    return [entry(roles.contributor, contributor, 0n, withheld), ...carried];
  }
  if (amountWei === 0n) return [entry(roles.contributor, contributor, 0n, reasons.roundsToZero)];
  return shareEntries(contribution!, amountWei, entry, carry);
}

/** The one zero entry of a candidate that earns nothing, with its reason. */
export function zeroEntry(
  candidate: CandidateFacts,
  contribution: ContributionFacts | undefined,
  reason: number,
): Entry {
  return entryOf(candidate, contribution)(
    roles.contributor,
    contribution?.contributor ?? zeroAddress,
    0n,
    reason,
  );
}

type MakeEntry = ReturnType<typeof entryOf>;
type Carry = (carriedWei: bigint, reason: number) => Entry;

function entryOf(candidate: CandidateFacts, contribution: ContributionFacts | undefined) {
  return (role: number, account: Entry["account"], amountWei: bigint, reason?: number): Entry => ({
    role,
    subject: candidate.chunkId,
    contributionBatchId: contribution?.contributionBatchId ?? 0n,
    account,
    scoreWad: candidate.scoreWad,
    amountWei,
    reason: reason ?? (amountWei > 0n ? reasons.paid : reasons.roundsToZero),
  });
}

function shareEntries(c: ContributionFacts, amountWei: bigint, entry: MakeEntry, carry: Carry): Entry[] {
  const contributorBps = 10_000 - c.ownerBps - c.validatorBps;
  const shares = apportion(amountWei, [contributorBps, c.ownerBps, c.validatorBps].map(BigInt));
  const [contributorWei, ownerWei, validatorsWei] = shares as [bigint, bigint, bigint];
  const entries = [entry(roles.contributor, c.contributor, contributorWei)];
  if (c.ownerBps > 0) entries.push(entry(roles.datanetOwner, c.datanetOwner, ownerWei));
  const votes = heaviest(c.votes);
  const weights = votes.map(({ weight }) => weight);
  if (sum(weights) === 0n) {
    return validatorsWei > 0n ? [...entries, carry(validatorsWei, reasons.noRecipient)] : entries;
  }
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
