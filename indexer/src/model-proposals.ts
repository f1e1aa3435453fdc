import {
  modelPenalty,
  modelProposal,
  modelProposalVote,
  modelReport,
  proposalBondCredit,
} from "ponder:schema";
import { encodeArgs } from "../../schema/events.ts";
import type { Args } from "./handler.ts";

const voting = 1;
const deployed = 5;
const open = 1;

export async function applyModelProposed({ event, context }: Args<"ModelProposals:ModelProposed">) {
  const { proposalId: id, spec, ...proposed } = event.args;
  const tally = { state: voting, forW: 0n, againstW: 0n, burned: 0n };
  await context.db
    .insert(modelProposal)
    .values({ id, ...proposed, ...tally, spec: encodeArgs(spec), eventId: event.id });
}

export async function applyModelProposalVote({ event, context }: Args<"ModelProposals:ModelProposalVote">) {
  const { proposalId, voter, support, weight, forW, againstW } = event.args;
  await context.db
    .insert(modelProposalVote)
    .values({ proposalId, voter, support, weight, eventId: event.id });
  await context.db.update(modelProposal, { id: proposalId }).set({ forW, againstW });
}

export async function applyModelProposalResolved({
  event,
  context,
}: Args<"ModelProposals:ModelProposalResolved">) {
  const { proposalId: id, ...resolved } = event.args;
  await context.db.update(modelProposal, { id }).set(resolved);
}

export async function applyModelDeployed({ event, context }: Args<"ModelProposals:ModelDeployed">) {
  const { proposalId: id, modelId, curve } = event.args;
  await context.db.update(modelProposal, { id }).set({ state: deployed, modelId, curve });
}

export async function applyModelReported({ event, context }: Args<"ModelProposals:ModelReported">) {
  const { reportId: id, ...reported } = event.args;
  await context.db
    .insert(modelReport)
    .values({ id, ...reported, state: open, burned: 0n, eventId: event.id });
}

export async function applyModelReportResolved({
  event,
  context,
}: Args<"ModelProposals:ModelReportResolved">) {
  const { reportId: id, ...resolved } = event.args;
  await context.db.update(modelReport, { id }).set(resolved);
}

export async function applyModelPenalised({ event, context }: Args<"ModelProposals:ModelPenalised">) {
  await context.db.insert(modelPenalty).values({ ...event.args, eventId: event.id });
}

export async function applyBondCredited({ event, context }: Args<"ModelProposals:BondCredited">) {
  const { to: account, newCredit: credit } = event.args;
  await context.db.insert(proposalBondCredit).values({ account, credit }).onConflictDoUpdate({ credit });
}

export async function applyBondWithdrawn({ event, context }: Args<"ModelProposals:BondWithdrawn">) {
  await context.db.update(proposalBondCredit, { account: event.args.to }).set({ credit: 0n });
}
