import { lineageEdge, model, modelDatanet, servingNode, trainingManifest } from "ponder:schema";
import type { Args } from "./handler.ts";

export async function applyModelRegistered({ event, context }: Args<"ModelRegistry:ModelRegistered">) {
  const { modelId, owner, kind, params } = event.args;
  await context.db.insert(model).values({
    id: modelId,
    owner,
    kind,
    ...params,
    depth: 0,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
    eventId: event.id,
  });
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

export async function applyServingNodeRegistered({
  event,
  context,
}: Args<"ModelRegistry:ServingNodeRegistered">) {
  await context.db.insert(servingNode).values({ ...event.args, eventId: event.id });
}
