/** Proposals and votes of the Governor and of the DAOs of Datanets: OpenZeppelin's events, the same for both. */
import { datanetDao, proposal, proposalVote } from "ponder:schema";
import { encodeArgs } from "../../schema/events.ts";
import type { Args } from "./handler.ts";
import { setSetting } from "./setting.ts";

const tallies = ["againstVotes", "forVotes", "abstainVotes"] as const;

export async function applyDatanetDaoCreated({
  event,
  context,
}: Args<"DatanetDaoFactory:DatanetDaoCreated">) {
  const { dao: address, datanetId, settings } = event.args;
  await context.db.insert(datanetDao).values({
    address,
    datanetId,
    votingDelayBlocks: BigInt(settings.votingDelayBlocks),
    votingPeriodBlocks: BigInt(settings.votingPeriodBlocks),
    quorumBps: settings.quorumBps,
    eventId: event.id,
  });
}

export async function applyProposalCreated({ event, context }: Args<"TributaryGovernor:ProposalCreated">) {
  const { proposalId: id, proposer, voteStart, voteEnd, description, ...actions } = event.args;
  const { targets, values, calldatas } = actions;
  await context.db.insert(proposal).values({
    governor: event.log.address,
    id,
    proposer,
    actions: encodeArgs({ targets, values, calldatas }),
    voteStart,
    voteEnd,
    description,
    againstVotes: 0n,
    forVotes: 0n,
    abstainVotes: 0n,
    isExecuted: false,
    isCanceled: false,
    eventId: event.id,
  });
}

export async function applyProposalQueued({ event, context }: Args<"TributaryGovernor:ProposalQueued">) {
  const { proposalId: id, etaSeconds } = event.args;
  await context.db.update(proposal, { governor: event.log.address, id }).set({ etaSeconds });
}

export async function applyProposalExecuted({ event, context }: Args<"TributaryGovernor:ProposalExecuted">) {
  const { proposalId: id } = event.args;
  await context.db.update(proposal, { governor: event.log.address, id }).set({ isExecuted: true });
}

export async function applyProposalCanceled({ event, context }: Args<"TributaryGovernor:ProposalCanceled">) {
  const { proposalId: id } = event.args;
  await context.db.update(proposal, { governor: event.log.address, id }).set({ isCanceled: true });
}

/** A quorum reached late: the vote goes on. */
export async function applyProposalExtended({ event, context }: Args<"TributaryGovernor:ProposalExtended">) {
  const { proposalId: id, extendedDeadline: voteEnd } = event.args;
  await context.db.update(proposal, { governor: event.log.address, id }).set({ voteEnd });
}

export async function applyVoteCast({ event, context }: Args<"TributaryGovernor:VoteCast">) {
  await countVote({ event, context } as never, null);
}

export async function applyVoteCastWithParams({
  event,
  context,
}: Args<"TributaryGovernor:VoteCastWithParams">) {
  await countVote({ event, context } as never, event.args.params);
}

async function countVote(
  { event, context }: Args<"TributaryGovernor:VoteCast">,
  params: `0x${string}` | null,
): Promise<void> {
  const governor = event.log.address;
  const { voter, proposalId, support, weight, reason } = event.args;
  await context.db
    .insert(proposalVote)
    .values({ governor, proposalId, voter, support, weight, reason, params, eventId: event.id });
  const tally = tallies[support];
  if (tally === undefined) return; // Counting knows no other; the vote stays on the record.
  await context.db
    .update(proposal, { governor, id: proposalId })
    .set((row) => ({ [tally]: row[tally] + weight }));
}

const contract = "TributaryGovernor";

export async function applyVotingDelaySet(args: Args<"TributaryGovernor:VotingDelaySet">) {
  await setSetting(args, contract, "votingDelay", args.event.args.newVotingDelay);
}

export async function applyVotingPeriodSet(args: Args<"TributaryGovernor:VotingPeriodSet">) {
  await setSetting(args, contract, "votingPeriod", args.event.args.newVotingPeriod);
}

export async function applyProposalThresholdSet(args: Args<"TributaryGovernor:ProposalThresholdSet">) {
  await setSetting(args, contract, "proposalThreshold", args.event.args.newProposalThreshold);
}

export async function applyQuorumNumeratorUpdated(args: Args<"TributaryGovernor:QuorumNumeratorUpdated">) {
  await setSetting(args, contract, "quorumNumerator", args.event.args.newQuorumNumerator);
}

export async function applyLateQuorumVoteExtensionSet(
  args: Args<"TributaryGovernor:LateQuorumVoteExtensionSet">,
) {
  await setSetting(args, contract, "lateQuorumVoteExtension", args.event.args.newVoteExtension);
}

export async function applyTimelockChange(args: Args<"TributaryGovernor:TimelockChange">) {
  await setSetting(args, contract, "timelock", args.event.args.newTimelock);
}
