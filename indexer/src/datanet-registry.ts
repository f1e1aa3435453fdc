import {
  accessRequest,
  contribution,
  datanet,
  datanetAccess,
  datanetOwner,
  datanetRules,
  datanetUsage,
  validationVote,
} from "ponder:schema";
import type { Args } from "./handler.ts";
import { setSetting } from "./setting.ts";

const pending = 1;
const retracted = 5;
const open = 0;
const requested = 1;
const granted = 2;
const refused = 3;

export async function applyDatanetCreated({ event, context }: Args<"DatanetRegistry:DatanetCreated">) {
  const { datanetId, owner, metadataHash, metadataURI, params } = event.args;
  await context.db.insert(datanet).values({
    id: datanetId,
    owner,
    metadataHash,
    metadataUri: metadataURI,
    ...params,
    status: open,
    eventId: event.id,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
  });
  await context.db
    .insert(datanetOwner)
    .values({ datanetId, owner, eventId: event.id, blockNumber: event.block.number });
}

export async function applyDatanetOwnershipTransferred({
  event,
  context,
}: Args<"DatanetRegistry:DatanetOwnershipTransferred">) {
  const { datanetId, to: owner } = event.args;
  await context.db.update(datanet, { id: datanetId }).set({ owner });
  await context.db
    .insert(datanetOwner)
    .values({ datanetId, owner, eventId: event.id, blockNumber: event.block.number });
}

export async function applyDatanetRulesSet({ event, context }: Args<"DatanetRegistry:DatanetRulesSet">) {
  await context.db.insert(datanetRules).values({ ...event.args, eventId: event.id });
}

export async function applyDatanetStatusChanged({
  event,
  context,
}: Args<"DatanetRegistry:DatanetStatusChanged">) {
  const { datanetId: id, newStatus: status } = event.args;
  await context.db.update(datanet, { id }).set({ status });
}

export async function applyDatanetUsageRecorded({
  event,
  context,
}: Args<"DatanetRegistry:DatanetUsageRecorded">) {
  const { epoch: epochId, ...usage } = event.args;
  await context.db.insert(datanetUsage).values({
    epochId,
    ...usage,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
    eventId: event.id,
  });
}

/**
 * New terms are for contributions to come. The shares stay those the Datanet was created with, as the registry has it: every
 * epoch pays by them, and whoever verifies one reads them there.
 */
export async function applyDatanetParamsUpdated({
  event,
  context,
}: Args<"DatanetRegistry:DatanetParamsUpdated">) {
  const { datanetId: id, newParams } = event.args;
  const { ownerBps: _, validatorBps: __, ...terms } = newParams;
  await context.db.update(datanet, { id }).set(terms);
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

export async function applyContributionScored({
  event,
  context,
}: Args<"DatanetRegistry:ContributionScored">) {
  const { batchId: id, quality } = event.args;
  await context.db.update(contribution, { id }).set({ quality });
}

export async function applyAccessRequested({ event, context }: Args<"DatanetRegistry:AccessRequested">) {
  const { requestId: id, ...request } = event.args;
  await context.db.insert(accessRequest).values({ id, ...request, state: requested, eventId: event.id });
}

export async function applyAccessGranted({ event, context }: Args<"DatanetRegistry:AccessGranted">) {
  const { requestId: id, datanetId, account, expiresAt, wrappedKey } = event.args;
  await context.db.update(accessRequest, { id }).set({ state: granted, expiresAt, wrappedKey });
  await context.db
    .insert(datanetAccess)
    .values({ datanetId, account, accessUntil: expiresAt })
    .onConflictDoUpdate({ accessUntil: expiresAt });
}

/** A grant that is revoked keeps the expiry it had. */
export async function applyAccessRefused({ event, context }: Args<"DatanetRegistry:AccessRefused">) {
  const { requestId: id, datanetId, account, reason, isRevoked } = event.args;
  await context.db.update(accessRequest, { id }).set({ state: refused, refusalReason: reason });
  if (isRevoked) await context.db.update(datanetAccess, { datanetId, account }).set({ accessUntil: 0n });
}

export async function applyUpgraded(args: Args<"DatanetRegistry:Upgraded">) {
  await setSetting(args, "DatanetRegistry", "implementation", args.event.args.implementation);
}

export async function applyUpgradeabilityRevoked(args: Args<"DatanetRegistry:UpgradeabilityRevoked">) {
  await setSetting(args, "DatanetRegistry", "isUpgradeable", "false");
}
