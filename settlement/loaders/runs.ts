import { and, asc, desc, eq, inArray } from "drizzle-orm";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import {
  carried,
  entry,
  epochRun,
  leftOut,
  reputation,
  reward,
  slashProposal,
  standing,
  unavailable,
} from "#schema/offchain/50-settlement";
import { type Before, beforeFirst, type Computed } from "../compute.ts";

export type EpochRun = typeof epochRun.$inferSelect;
type Reader = Drizzle | Transaction;

/** Most rows in one insert: 11 columns each, PostgreSQL allows 65,535 parameters. */
const insertRowsMax = 4_000;

/** All that an epoch writes, its own row last. */
export const runTables = [
  entry,
  reward,
  carried,
  standing,
  leftOut,
  unavailable,
  reputation,
  slashProposal,
  epochRun,
] as const;

export async function latestRun(db: Reader): Promise<EpochRun | undefined> {
  const [row] = await db.select().from(epochRun).orderBy(desc(epochRun.epochId)).limit(1);
  return row;
}

/** What the epoch before `epochId` left behind; nothing before the first. */
export async function standingBefore(db: Reader, previous: EpochRun | undefined): Promise<Before> {
  if (previous === undefined) return beforeFirst;
  const { epochId, receiptsAccumulator, feesWei, splitsWei } = previous;
  const rewards = await db
    .select({ account: reward.account, cumulativeWei: reward.cumulativeWei })
    .from(reward)
    .where(eq(reward.epochId, epochId))
    .orderBy(asc(reward.account));
  const amounts = await db
    .select({ modelId: carried.modelId, amountWei: carried.amountWei })
    .from(carried)
    .where(eq(carried.epochId, epochId))
    .orderBy(asc(carried.modelId));
  return { carried: amounts, rewards, receiptsAccumulator, feesWei, splitsWei };
}

/** Writes all rows of an epoch in one transaction. */
export async function insertComputed(db: Drizzle, computed: Computed): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(epochRun).values(computed.run);
    for (const rows of slices(computed.entries)) await tx.insert(entry).values(rows);
    for (const rows of slices(computed.rewards)) await tx.insert(reward).values(rows);
    for (const rows of slices(computed.carried)) await tx.insert(carried).values(rows);
    for (const rows of slices(computed.standings)) await tx.insert(standing).values(rows);
    for (const rows of slices(computed.leftOut)) await tx.insert(leftOut).values(rows);
    for (const rows of slices(computed.unavailable)) await tx.insert(unavailable).values(rows);
    for (const rows of slices(computed.reputations)) await tx.insert(reputation).values(rows);
    for (const rows of slices(computed.slashProposals)) await tx.insert(slashProposal).values(rows);
  });
}

/** Moves an epoch on. Only from the state it was read in: a stale reader changes nothing and gets false. */
export async function moveRun(
  db: Drizzle,
  run: EpochRun,
  change: Partial<typeof epochRun.$inferInsert>,
): Promise<boolean> {
  const moved = await db
    .update(epochRun)
    .set({ ...change, updatedAt: new Date() })
    .where(and(eq(epochRun.epochId, run.epochId), eq(epochRun.state, run.state)))
    .returning({ epochId: epochRun.epochId });
  return moved.length === 1;
}

/** Forgets a rejected epoch, so that it is computed again. */
export async function deleteRun(db: Drizzle, epochId: bigint): Promise<void> {
  await db.transaction(async (tx) => {
    for (const table of runTables) {
      await tx.delete(table).where(eq(table.epochId, epochId));
    }
  });
}

/** The entries of an epoch, by receipt, each in its order; and the Datanet of each contribution they name. */
export async function entriesOf(db: Reader, epochId: bigint) {
  const rows = await db
    .select()
    .from(entry)
    .where(eq(entry.epochId, epochId))
    .orderBy(asc(entry.receiptDigest), asc(entry.index));
  const ids = [...new Set(rows.map(({ contributionId }) => contributionId))];
  const { contribution } = onchain;
  const contributions = await db
    .select({ id: contribution.id, datanetId: contribution.datanetId })
    .from(contribution)
    .where(inArray(contribution.id, ids));
  const named = rows.map(({ contributionId, ...e }) => ({ ...e, contributionBatchId: contributionId }));
  return {
    receipts: [...Map.groupBy(named, ({ receiptDigest }) => receiptDigest).values()].map((entries) => ({
      entries,
    })),
    datanetOf: new Map(contributions.map(({ id, datanetId }) => [id, datanetId])),
  };
}

/** The indexed row of an epoch, which may lag behind the chain. */
export async function indexedEpoch(db: Reader, epochId: bigint) {
  const [row] = await db.select().from(onchain.epoch).where(eq(onchain.epoch.id, epochId));
  return row;
}

function slices<T>(rows: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(rows.length / insertRowsMax) }, (_, i) =>
    rows.slice(i * insertRowsMax, (i + 1) * insertRowsMax),
  );
}
