import { and, asc, desc, eq, gt, lt, lte, type SQL, sql } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Transaction } from "#schema/database";
import * as settlement from "#schema/offchain/50-settlement";
import { type Page, type PageArgs, pageOf, sizeOf } from "../page.ts";
import type { ClaimRow, ContributionRow, DatanetRow, EntryRow, EpochRow, RewardRow } from "./rows.ts";

/** Pages over lists that grow. Every order is total, so a cursor never skips or repeats a row of its snapshot. */

const { claim, contribution, datanet, distributor, epoch, rewardAccount } = onchain;
const { entry, reward } = settlement;

export type ClaimFilter = { account?: Hex | null | undefined; txHash?: Hex | null | undefined };

/** Newest first. */
export async function claimPage(
  tx: Transaction,
  filter: ClaimFilter,
  args: PageArgs,
): Promise<Page<ClaimRow>> {
  const rows = await tx
    .select()
    .from(claim)
    .where(
      and(
        filter.account ? eq(claim.account, lowercase(filter.account)) : undefined,
        filter.txHash ? eq(claim.txHash, lowercase(filter.txHash)) : undefined,
        args.after ? lt(claim.eventId, args.after) : undefined,
      ),
    )
    .orderBy(desc(claim.eventId))
    .limit(sizeOf(args) + 1);
  return pageOf(rows, args, (row) => row.eventId);
}

/** Newest first. */
export async function epochPage(tx: Transaction, args: PageArgs): Promise<Page<EpochRow>> {
  const rows = await tx
    .select()
    .from(epoch)
    .where(args.after ? lt(epoch.id, integer(args.after)) : undefined)
    .orderBy(desc(epoch.id))
    .limit(sizeOf(args) + 1);
  return pageOf(rows, args, (row) => String(row.id));
}

export async function datanetPage(tx: Transaction, args: PageArgs): Promise<Page<DatanetRow>> {
  const rows = await tx
    .select()
    .from(datanet)
    .where(args.after ? gt(datanet.id, integer(args.after)) : undefined)
    .orderBy(asc(datanet.id))
    .limit(sizeOf(args) + 1);
  return pageOf(rows, args, (row) => String(row.id));
}

export type ContributionFilter = { account?: Hex; datanetId?: bigint };

export async function contributionPage(
  tx: Transaction,
  filter: ContributionFilter,
  args: PageArgs,
): Promise<Page<ContributionRow>> {
  const rows = await tx
    .select()
    .from(contribution)
    .where(
      and(
        filter.account ? eq(contribution.contributor, lowercase(filter.account)) : undefined,
        filter.datanetId === undefined ? undefined : eq(contribution.datanetId, filter.datanetId),
        args.after ? gt(contribution.id, integer(args.after)) : undefined,
      ),
    )
    .orderBy(asc(contribution.id))
    .limit(sizeOf(args) + 1);
  return pageOf(rows, args, (row) => String(row.id));
}

/** Entries that match, by (epoch, receipt, index). */
export async function entryPage(tx: Transaction, matches: SQL, args: PageArgs): Promise<Page<EntryRow>> {
  const rows = await tx
    .select()
    .from(entry)
    .where(and(matches, args.after ? afterEntry(args.after) : undefined))
    .orderBy(asc(entry.epochId), asc(entry.receiptDigest), asc(entry.index))
    .limit(sizeOf(args) + 1);
  return pageOf(rows, args, (row) => `${row.epochId}:${row.receiptDigest}:${row.index}`);
}

/** Entries a claim pays: those of the account after its previous claim's epoch, up to this claim's. */
export async function claimEntries(tx: Transaction, paid: ClaimRow, args: PageArgs): Promise<Page<EntryRow>> {
  return entryPage(tx, await entriesPaid(tx, paid), args);
}

export async function claimEntryCount(tx: Transaction, paid: ClaimRow): Promise<number> {
  return tx.$count(entry, await entriesPaid(tx, paid));
}

async function entriesPaid(tx: Transaction, paid: ClaimRow): Promise<SQL> {
  const [previous] = await tx
    .select({ epochId: claim.epochId })
    .from(claim)
    .where(and(eq(claim.account, paid.account), lt(claim.eventId, paid.eventId)))
    .orderBy(desc(claim.eventId))
    .limit(1);
  const matches = and(
    eq(entry.account, paid.account),
    gt(entry.epochId, previous?.epochId ?? 0n),
    lte(entry.epochId, paid.epochId),
    gt(entry.amountWei, 0n),
  );
  return matches!;
}

/** Accounts the distributor owes something now, ascending. */
export async function claimablePage(tx: Transaction, args: PageArgs): Promise<Page<RewardRow>> {
  const rows = await tx
    .select({ reward })
    .from(reward)
    .innerJoin(distributor, eq(distributor.epoch, reward.epochId))
    .leftJoin(rewardAccount, eq(rewardAccount.account, reward.account))
    .where(
      and(
        sql`${reward.cumulativeWei} > coalesce(${rewardAccount.claimed}, 0)`,
        args.after ? gt(reward.account, lowercase(args.after)) : undefined,
      ),
    )
    .orderBy(asc(reward.account))
    .limit(sizeOf(args) + 1);
  return pageOf(
    rows.map((row) => row.reward),
    args,
    (row) => row.account,
  );
}

/** How often an account's records were retrieved and earned nothing, by reason. */
export async function zeroReasons(
  tx: Transaction,
  account: Hex,
): Promise<{ reason: number; count: number }[]> {
  return tx
    .select({ reason: entry.reason, count: sql<number>`count(*)::int` })
    .from(entry)
    .where(and(eq(entry.account, lowercase(account)), eq(entry.amountWei, 0n)))
    .groupBy(entry.reason)
    .orderBy(asc(entry.reason));
}

function afterEntry(cursor: string): SQL {
  const [epochId = "", receiptDigest = "", index = ""] = cursor.split(":");
  return sql`(${entry.epochId}, ${entry.receiptDigest}, ${entry.index}) > (${integer(epochId)}, ${receiptDigest}, ${Number(integer(index))})`;
}

/** A cursor's number. A cursor we did not make starts at the beginning. */
function integer(text: string): bigint {
  return /^\d{1,18}$/.test(text) ? BigInt(text) : 0n;
}

function lowercase(hex: string): Hex {
  return hex.toLowerCase() as Hex;
}
