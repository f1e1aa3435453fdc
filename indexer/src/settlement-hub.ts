import { batch, intake, modelUsage, nodeCredit, receiptChallenge } from "ponder:schema";
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

/** A receipt whose challenge was answered may be challenged again. */
export async function applyReceiptChallenged({ event, context }: Args<"SettlementHub:ReceiptChallenged">) {
  const { receiptHash, ...challenge } = event.args;
  const row = { ...challenge, isUpheld: null, slashed: 0n, eventId: event.id };
  await context.db
    .insert(receiptChallenge)
    .values({ receiptHash, ...row })
    .onConflictDoUpdate(row);
}

/** Comes after its `ReceiptChallenged`, which may be of the same transaction. */
export async function applyReceiptChallengeResolved({
  event,
  context,
}: Args<"SettlementHub:ReceiptChallengeResolved">) {
  const { receiptHash, upheld: isUpheld, slashed } = event.args;
  await context.db.update(receiptChallenge, { receiptHash }).set({ isUpheld, slashed });
}

export async function applyIntakePaused({ event, context }: Args<"SettlementHub:IntakePaused">) {
  const { pausedUntil } = event.args;
  await context.db
    .insert(intake)
    .values({ contract: "SettlementHub", pausedUntil })
    .onConflictDoUpdate({ pausedUntil });
}

export async function applyIntakeResumed({ context }: Args<"SettlementHub:IntakeResumed">) {
  await context.db
    .insert(intake)
    .values({ contract: "SettlementHub", pausedUntil: 0n })
    .onConflictDoUpdate({ pausedUntil: 0n });
}
