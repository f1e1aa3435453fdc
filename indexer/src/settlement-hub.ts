import { batch, modelUsage, nodeCredit } from "ponder:schema";
import type { Args } from "./handler.ts";

export async function applyBatchSettled({ event, context }: Args<"SettlementHub:BatchSettled">) {
  const { batchId, ...settled } = event.args;
  await context.db.insert(batch).values({
    id: batchId,
    ...settled,
    blockNumber: event.block.number,
    blockTimestamp: event.block.timestamp,
    logIndex: event.log.logIndex,
    txHash: event.transaction.hash,
    eventId: event.id,
  });
}

/** Comes before its `BatchSettled`, in the same transaction. */
export async function applyModelUsage({ event, context }: Args<"SettlementHub:ModelUsage">) {
  await context.db.insert(modelUsage).values({ ...event.args, eventId: event.id });
}

export async function applyNodeCredited({ event, context }: Args<"SettlementHub:NodeCredited">) {
  const { node, amount, newCredit } = event.args;
  await context.db
    .insert(nodeCredit)
    .values({ node, credit: newCredit, credited: amount, paid: 0n })
    .onConflictDoUpdate((row) => ({ credit: newCredit, credited: row.credited + amount }));
}

export async function applyNodePaid({ event, context }: Args<"SettlementHub:NodePaid">) {
  const { node, amount, newCredit } = event.args;
  await context.db
    .update(nodeCredit, { node })
    .set((row) => ({ credit: newCredit, paid: row.paid + amount }));
}
