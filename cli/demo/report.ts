import type { Sql } from "postgres";
import { type Address, formatEther, type Hex } from "viem";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { reasonText, roles } from "#settlement/blob/codes";
import type { Chain } from "../chain/transactions.ts";
import type { OnChain } from "./contribute.ts";

/** What the demo came to. Amounts in wei; `conserved` says that fees = splits + leaves + carried. */
export type Outcome = {
  answers: number;
  receipts: number;
  epochs: number;
  feesWei: bigint;
  splitsWei: bigint;
  leavesWei: bigint;
  carriedWei: bigint;
  claimedWei: bigint;
  conserved: boolean;
};

/** One contributor's line. `why` says why nothing was earned, where nothing was. */
export type ContributorLine = {
  name: string;
  documents: number;
  chunks: number;
  answersMoved: number;
  earnedWei: bigint;
  why: string;
};

/** Longest name printed in full. */
const nameColumns = 28;

/** Fees and splits from the chain's logs, leaves and claims from its state, carried from the last epoch. */
export async function readOutcome(chain: Chain, sql: Sql): Promise<Outcome> {
  const { settlementHub, rewardDistributor } = chain.deployment.contracts;
  const batches = await chain.client.getContractEvents({
    address: settlementHub,
    abi: settlementHubAbi,
    eventName: "BatchSettled",
    fromBlock: 0n,
    strict: true,
  });
  const read = <F extends "epoch" | "rootTotal" | "totalClaimed">(functionName: F) =>
    chain.client.readContract({ address: rewardDistributor, abi: rewardDistributorAbi, functionName });
  const [row] = await sql`
    select (select count(*) from serving.answer)::int as answers,
           (select count(*) from engine.receipt)::int as receipts,
           (select coalesce(sum(amount_wei), 0) from settlement.carried
             where epoch_id = (select max(epoch_id) from settlement.epoch_run))::text as carried`;
  const feesWei = batches.reduce((sum, { args }) => sum + args.total, 0n);
  const splitsWei = batches.reduce((sum, { args }) => sum + args.nodeShare + args.treasuryShare, 0n);
  const leavesWei = await read("rootTotal");
  const carriedWei = BigInt(row!.carried as string);
  return {
    answers: row!.answers as number,
    receipts: row!.receipts as number,
    epochs: Number(await read("epoch")),
    feesWei,
    splitsWei,
    leavesWei,
    carriedWei,
    claimedWei: await read("totalClaimed"),
    conserved: feesWei === splitsWei + leavesWei + carriedWei,
  };
}

/** One line per contributor, highest earnings first, then by name. */
export async function readContributors(sql: Sql, submitted: readonly OnChain[]): Promise<ContributorLine[]> {
  const rows = await sql<{ account: string; earned: string; moved: number; reasons: number[] }[]>`
    select account,
           sum(amount_wei)::text as earned,
           count(distinct receipt_digest) filter (where score_wad > 0)::int as moved,
           jsonb_agg(distinct reason) as reasons
    from settlement.entry where role in (${roles.contributor}, ${roles.recordContributor}) group by account`;
  const byAccount = new Map(rows.map((row) => [row.account, row]));
  const states = await sql<{ id: string; state: number }[]>`select id::text, state from onchain.contribution`;
  const stateOf = new Map(states.map(({ id, state }) => [id, state]));
  const lines = [...Map.groupBy(submitted, ({ contributor }) => contributor)].map(([name, own]) => {
    const row = byAccount.get(own[0]!.account.address.toLowerCase());
    const earnedWei = BigInt(row?.earned ?? "0");
    return {
      name,
      documents: own.reduce((sum, { documents }) => sum + documents.length, 0),
      chunks: own.reduce((sum, { chunks }) => sum + chunks.length, 0),
      answersMoved: row?.moved ?? 0,
      earnedWei,
      why:
        earnedWei > 0n
          ? ""
          : whyNothing(
              own.map(({ batchId }) => stateOf.get(batchId.toString()) ?? 0),
              row?.reasons,
            ),
    };
  });
  return lines.sort((a, b) =>
    a.earnedWei === b.earnedWei ? (a.name < b.name ? -1 : 1) : a.earnedWei > b.earnedWei ? -1 : 1,
  );
}

/** A claim that paid, among others, for a training row: the largest such amount. */
export type RowPayout = { chunkId: Hex; account: Address; amountWei: bigint; claimTx: Hex };

/** Null where no training row was paid. */
export async function readRowPayout(sql: Sql): Promise<RowPayout | null> {
  const [row] = await sql`
    select entry.subject, entry.account, entry.amount_wei::text as amount, claim.tx_hash
    from settlement.entry
    join lateral (
      select tx_hash from onchain.claim
      where claim.account = entry.account and claim.epoch_id >= entry.epoch_id
      order by claim.event_id limit 1) as claim on true
    where entry.role = ${roles.recordContributor} and entry.amount_wei > 0
    order by entry.amount_wei desc, entry.subject limit 1`;
  if (row === undefined) return null;
  const { subject: chunkId, account, amount, tx_hash: claimTx } = row;
  return { chunkId, account, amountWei: BigInt(amount as string), claimTx };
}

/** The tables people see at the end. */
export function renderReport(outcome: Outcome, lines: readonly ContributorLine[], verdict: string): string {
  const header = `${"contributor".padEnd(nameColumns)} ${"docs".padStart(5)} ${"chunks".padStart(6)} ${"moved".padStart(6)} ${"earned (OPEN)".padStart(24)}  why nothing`;
  const body = lines.map(
    (line) =>
      `${line.name.slice(0, nameColumns).padEnd(nameColumns)} ${String(line.documents).padStart(5)} ${String(line.chunks).padStart(6)} ${String(line.answersMoved).padStart(6)} ${formatEther(line.earnedWei).padStart(24)}  ${line.why}`,
  );
  const money: [string, bigint][] = [
    ["fees paid", outcome.feesWei],
    ["splits (node, treasury)", outcome.splitsWei],
    ["leaves (all rewards)", outcome.leavesWei],
    ["carried to the next epoch", outcome.carriedWei],
    ["claimed", outcome.claimedWei],
  ];
  return [
    "",
    header,
    ...body,
    "",
    ...money.map(([name, wei]) => `${name.padEnd(nameColumns)} ${wei.toString().padStart(24)} wei`),
    `${"fees = splits + leaves + carried".padEnd(nameColumns + 5)} ${outcome.conserved ? "yes, to the wei" : "NO"}`,
    `${outcome.answers} answers, ${outcome.receipts} receipts, ${outcome.epochs} epochs; verified from chain and DA: ${verdict}`,
  ].join("\n");
}

function whyNothing(states: readonly number[], reasons: readonly number[] | undefined): string {
  if (states.every((state) => state === 3)) return "rejected by the validators";
  if (reasons && reasons.length > 0)
    return [...reasons]
      .sort((a, b) => a - b)
      .map(reasonText)
      .join("; ");
  return "no question came near its chunks";
}
