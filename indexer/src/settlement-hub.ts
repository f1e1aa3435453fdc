import { batch, intake, modelUsage, nodeCredit, receiptChallenge } from "ponder:schema";
import type { Args } from "./handler.ts";

/** Faults of ReceiptFaults.sol: one waits for its node, the others are proven at once. */
const missing = 1;
const provenAtOnce = [2, 3] as const;

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
  const { receiptHash, fault, ...challenge } = event.args;
  const row = { ...challenge, isUpheld: null, slashed: 0n, eventId: event.id };
  await context.db
    .insert(receiptChallenge)
    .values({ receiptHash, fault, ...row })
    .onConflictDoUpdate(row);
}

/**
 * Of the one fault that is still open. Two receipts and an altered leaf are proven and resolved in one transaction, so
 * where one of them is open it is meant, and not a challenge of the same receipt that waits for its node.
 */
export async function applyReceiptChallengeResolved({
  event,
  context,
}: Args<"SettlementHub:ReceiptChallengeResolved">) {
  const { receiptHash, upheld: isUpheld, slashed } = event.args;
  let resolved = missing;
  for (const fault of provenAtOnce) {
    const row = await context.db.find(receiptChallenge, { receiptHash, fault });
    if (row?.isUpheld === null) resolved = fault;
  }
  await context.db.update(receiptChallenge, { receiptHash, fault: resolved }).set({ isUpheld, slashed });
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
