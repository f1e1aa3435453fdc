import {
  lineageEdge,
  model,
  modelDatanet,
  modelOwner,
  modelVersion,
  servingNode,
  trainingManifest,
} from "ponder:schema";
import type { Args } from "./handler.ts";
import { setSetting } from "./setting.ts";

const active = 0;

export async function applyModelRegistered({ event, context }: Args<"ModelRegistry:ModelRegistered">) {
  const { modelId, owner, kind, params } = event.args;
  await context.db.insert(model).values({
    id: modelId,
    owner,
    kind,
    ...params,
    depth: 0,
    version: 1,
    status: active,
    serviceTier: 0,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
    eventId: event.id,
  });
  await context.db
    .insert(modelOwner)
    .values({ modelId, owner, eventId: event.id, blockNumber: event.block.number });
}

export async function applyModelOwnershipTransferred({
  event,
  context,
}: Args<"ModelRegistry:ModelOwnershipTransferred">) {
  const { modelId, to: owner } = event.args;
  await context.db.update(model, { id: modelId }).set({ owner });
  await context.db
    .insert(modelOwner)
    .values({ modelId, owner, eventId: event.id, blockNumber: event.block.number });
}

export async function applyModelVersionPublished({
  event,
  context,
}: Args<"ModelRegistry:ModelVersionPublished">) {
  const { modelId, version } = event.args;
  await context.db.insert(modelVersion).values({ ...event.args, eventId: event.id });
  await context.db.update(model, { id: modelId }).set({ version });
}

export async function applyModelStatusChanged({ event, context }: Args<"ModelRegistry:ModelStatusChanged">) {
  const { modelId: id, newStatus: status } = event.args;
  await context.db.update(model, { id }).set({ status });
}

export async function applyModelServiceTierSet({
  event,
  context,
}: Args<"ModelRegistry:ModelServiceTierSet">) {
  const { modelId: id, newTier: serviceTier } = event.args;
  await context.db.update(model, { id }).set({ serviceTier });
}

/** Each edge carries the child's depth; a model without edges keeps 0. */
export async function applyLineageEdge({ event, context }: Args<"ModelRegistry:LineageEdge">) {
  const { childId, parentId, weightBps, depth } = event.args;
  await context.db.insert(lineageEdge).values({ childId, parentId, weightBps, depth, eventId: event.id });
  await context.db.update(model, { id: childId }).set({ depth });
}

/** A model's owner may say it again, with another snapshot: the last one counts. */
export async function applyDatanetUsed({ event, context }: Args<"ModelRegistry:DatanetUsed">) {
  const { modelId, datanetId, snapshotRoot, trainingManifestHash } = event.args;
  const used = {
    snapshotRoot,
    trainingManifestHash,
    blockNumber: event.block.number,
    eventId: event.id,
  };
  await context.db
    .insert(modelDatanet)
    .values({ modelId, datanetId, ...used })
    .onConflictDoUpdate(used);
}

export async function applyTrainingManifestPublished({
  event,
  context,
}: Args<"ModelRegistry:TrainingManifestPublished">) {
  await context.db.insert(trainingManifest).values({
    ...event.args,
    eventId: event.id,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
  });
}

/** A node that retired may register again, with other data. */
export async function applyServingNodeRegistered({
  event,
  context,
}: Args<"ModelRegistry:ServingNodeRegistered">) {
  const { node, ...registered } = event.args;
  const row = { ...registered, isRetired: false, eventId: event.id };
  await context.db
    .insert(servingNode)
    .values({ node, ...row })
    .onConflictDoUpdate(row);
}

export async function applyServingNodeRetired({ event, context }: Args<"ModelRegistry:ServingNodeRetired">) {
  await context.db.update(servingNode, { node: event.args.node }).set({ isRetired: true });
}

export async function applyUpgraded(args: Args<"ModelRegistry:Upgraded">) {
  await setSetting(args, "ModelRegistry", "implementation", args.event.args.implementation);
}

export async function applyUpgradeabilityRevoked(args: Args<"ModelRegistry:UpgradeabilityRevoked">) {
  await setSetting(args, "ModelRegistry", "isUpgradeable", "false");
}
