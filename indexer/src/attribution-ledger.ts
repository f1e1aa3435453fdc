import { bondCredit, epoch, epochFault, epochRuling, intake } from "ponder:schema";
import type { Args } from "./handler.ts";

const proposed = 1;
const disputed = 2;
const rejected = 3;
const finalized = 4;

/** A rejected number is proposed again: the new proposal takes the row. */
export async function applyEpochProposed({ event, context }: Args<"AttributionLedger:EpochProposed">) {
  const { epoch: id, challengeEnd: deadline, ...header } = event.args;
  const proposal = {
    ...header,
    status: proposed,
    deadline,
    proposedBlock: event.block.number,
    proposedTx: event.transaction.hash,
    finalizedBlock: null,
    finalizedTx: null,
    eventId: event.id,
  };
  await context.db
    .insert(epoch)
    .values({ id, ...proposal })
    .onConflictDoUpdate(proposal);
}

export async function applyEpochDisputed({ event, context }: Args<"AttributionLedger:EpochDisputed">) {
  const { epoch: id, disputer: account, reason, deadline, evidenceHash } = event.args;
  await context.db.update(epoch, { id }).set({ status: disputed, deadline });
  await context.db
    .insert(epochFault)
    .values({ eventId: event.id, epochId: id, kind: "epoch", account, reason, evidenceHash });
}

export async function applyLeafDisputed({ event, context }: Args<"AttributionLedger:LeafDisputed">) {
  const { epoch: epochId, disputer: account, reason, account: leafAccount, cumulative } = event.args;
  await context.db.insert(epochFault).values({
    eventId: event.id,
    epochId,
    kind: "leaf",
    account,
    reason,
    leafAccount,
    leafCumulative: cumulative,
  });
}

export async function applyCertificateProvenInvalid({
  event,
  context,
}: Args<"AttributionLedger:CertificateProvenInvalid">) {
  const { epoch: epochId, prover: account } = event.args;
  await context.db.insert(epochFault).values({ eventId: event.id, epochId, kind: "certificate", account });
}

/** A dispute found wrong opens a whole new window. */
export async function applyEpochResolved({ event, context }: Args<"AttributionLedger:EpochResolved">) {
  const { epoch: id, upheld, winner, paid, burned, deadline } = event.args;
  await context.db
    .insert(epochRuling)
    .values({ eventId: event.id, epochId: id, isUpheld: upheld, winner, paid, burned });
  await context.db.update(epoch, { id }).set(upheld ? { status: rejected } : { status: proposed, deadline });
}

export async function applyEpochAbandoned({ event, context }: Args<"AttributionLedger:EpochAbandoned">) {
  await context.db.update(epoch, { id: event.args.epoch }).set({ status: rejected });
}

export async function applyEpochFinalized({ event, context }: Args<"AttributionLedger:EpochFinalized">) {
  await context.db.update(epoch, { id: event.args.epoch }).set({
    status: finalized,
    finalizedBlock: event.block.number,
    finalizedTx: event.transaction.hash,
  });
}

export async function applyBondCredited({ event, context }: Args<"AttributionLedger:BondCredited">) {
  const { to: account, newCredit: credit } = event.args;
  await context.db.insert(bondCredit).values({ account, credit }).onConflictDoUpdate({ credit });
}

export async function applyBondDebited({ event, context }: Args<"AttributionLedger:BondDebited">) {
  const { from: account, newCredit: credit } = event.args;
  await context.db.update(bondCredit, { account }).set({ credit });
}

export async function applyBondWithdrawn({ event, context }: Args<"AttributionLedger:BondWithdrawn">) {
  await context.db.update(bondCredit, { account: event.args.to }).set({ credit: 0n });
}

export async function applyIntakePaused({ event, context }: Args<"AttributionLedger:IntakePaused">) {
  const { pausedUntil } = event.args;
  await context.db
    .insert(intake)
    .values({ contract: "AttributionLedger", pausedUntil })
    .onConflictDoUpdate({ pausedUntil });
}

export async function applyIntakeResumed({ context }: Args<"AttributionLedger:IntakeResumed">) {
  await context.db
    .insert(intake)
    .values({ contract: "AttributionLedger", pausedUntil: 0n })
    .onConflictDoUpdate({ pausedUntil: 0n });
}
