import { contribution, datanet, validationVote } from "ponder:schema";
import type { Args } from "./handler.ts";

const pending = 1;
const retracted = 5;

export async function applyDatanetCreated({ event, context }: Args<"DatanetRegistry:DatanetCreated">) {
  const { datanetId, owner, metadataHash, metadataURI, params } = event.args;
  await context.db.insert(datanet).values({
    id: datanetId,
    owner,
    metadataHash,
    metadataUri: metadataURI,
    ...params,
    eventId: event.id,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
  });
}

/** Shares never change, so what an earlier epoch paid by is still in the row. */
export async function applyDatanetParamsUpdated({
  event,
  context,
}: Args<"DatanetRegistry:DatanetParamsUpdated">) {
  const { datanetId: id, newParams } = event.args;
  await context.db.update(datanet, { id }).set(newParams);
}

export async function applyContributionSubmitted({
  event,
  context,
}: Args<"DatanetRegistry:ContributionSubmitted">) {
  const { batchId, ...submitted } = event.args;
  await context.db.insert(contribution).values({
    id: batchId,
    ...submitted,
    state: pending,
    forW: 0n,
    againstW: 0n,
    submittedBlock: event.block.number,
    submittedTx: event.transaction.hash,
    eventId: event.id,
  });
}

export async function applyValidationVote({ event, context }: Args<"DatanetRegistry:ValidationVote">) {
  const { batchId, validator, support, quality, weight, forW, againstW } = event.args;
  await context.db.insert(validationVote).values({
    contributionId: batchId,
    validator,
    support,
    quality,
    weight,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
    eventId: event.id,
  });
  await context.db.update(contribution, { id: batchId }).set({ forW, againstW });
}

export async function applyContributionResolved({
  event,
  context,
}: Args<"DatanetRegistry:ContributionResolved">) {
  const { batchId, outcome, forW, againstW } = event.args;
  await context.db.update(contribution, { id: batchId }).set({
    state: outcome,
    forW,
    againstW,
    resolvedBlock: event.block.number,
    resolvedTx: event.transaction.hash,
  });
}

export async function applyContributionRetracted({
  event,
  context,
}: Args<"DatanetRegistry:ContributionRetracted">) {
  await context.db.update(contribution, { id: event.args.batchId }).set({
    state: retracted,
    retractedBlock: event.block.number,
    retractedTx: event.transaction.hash,
  });
}
