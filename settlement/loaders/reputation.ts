import {
  and,
  asc,
  eq,
  gt,
  inArray,
  isNotNull,
  lt,
  lte,
  min,
  ne,
  not,
  notExists,
  notInArray,
  sql,
} from "drizzle-orm";
import type { Hex } from "viem";
import type { JudgedContribution, PublicFacts } from "#engine/reputation/history";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { readEvent } from "#schema/events";
import { chunk, duplicate, receipt, refusal, score, trainingRecord } from "#schema/offchain/40-engine";
import { epochRun, leftOut, unavailable } from "#schema/offchain/50-settlement";
import type { BatchFacts } from "../allocation/facts.ts";
import type { Unavailable } from "../blob/provenance.ts";

type Reader = Drizzle | Transaction;

/** What the epoch to be computed rests on: its batches, and what its poster could not have. */
export type EpochRests = { batches: readonly BatchFacts[]; unavailable: readonly Unavailable[] };

/** What reputations rest on, up to `toBlock`: votes, resolutions and slashings of the log; copies and gates of the engine. */
export async function loadPublicFacts(
  db: Reader,
  toBlock: bigint,
  rests: EpochRests = { batches: [], unavailable: [] },
): Promise<PublicFacts> {
  return {
    contributions: await judgedContributions(db, toBlock),
    slashings: await slashings(db, toBlock),
    copies: await copies(db, toBlock),
    gates: await gates(db, toBlock, rests),
  };
}

/** Last blocks of the epochs up to the one that ends with `toBlock`, ascending. */
export async function loadToBlocks(db: Reader, toBlock: bigint): Promise<bigint[]> {
  const rows = await db
    .select({ toBlock: epochRun.toBlock })
    .from(epochRun)
    .where(lt(epochRun.toBlock, toBlock))
    .orderBy(asc(epochRun.epochId));
  return [...rows.map((row) => row.toBlock), toBlock];
}

/** `state` of a contribution that was accepted; the second has been retracted since. */
const acceptedStates = [2, 5];

/** The first contribution accepted up to `toBlock` whose chunks have no class yet and are not refused. */
export async function findUnclassified(db: Reader, toBlock: bigint): Promise<bigint | undefined> {
  const { id, resolvedBlock, state } = onchain.contribution;
  const classes = db
    .select({ id: chunk.id })
    .from(chunk)
    .innerJoin(duplicate, eq(duplicate.chunkId, chunk.id))
    .where(eq(chunk.contributionId, id));
  const refusals = db
    .select({ id: refusal.eventId })
    .from(refusal)
    .where(eq(refusal.subject, sql`'contribution:' || ${id}`));
  const [open] = await db
    .select({ id })
    .from(onchain.contribution)
    .where(
      and(
        lte(resolvedBlock, toBlock),
        inArray(state, acceptedStates),
        notExists(classes),
        notExists(refusals),
      ),
    )
    .orderBy(asc(id))
    .limit(1);
  return open?.id;
}

/** ContributionResolved.outcome and, from there on, the state of a contribution. */
const outcomes: Record<number, JudgedContribution["outcome"]> = { 2: "accepted", 3: "rejected", 4: "lapsed" };

async function judgedContributions(db: Reader, toBlock: bigint): Promise<JudgedContribution[]> {
  const { contribution, validationVote } = onchain;
  const resolved = await eventsOf(db, "ContributionResolved", toBlock);
  const scored = await eventsOf(db, "ContributionScored", toBlock);
  const outcomeOf = new Map(
    resolved.map((row) => {
      const args = readEvent(row, "DatanetRegistry", "ContributionResolved")!;
      return [args.batchId, { outcome: outcomes[args.outcome] ?? "lapsed", block: row.blockNumber }];
    }),
  );
  const qualityOf = new Map(
    scored.map((row) => {
      const args = readEvent(row, "DatanetRegistry", "ContributionScored")!;
      return [args.batchId, args.quality];
    }),
  );
  const votes = await db
    .select()
    .from(validationVote)
    .where(lte(validationVote.blockNumber, toBlock))
    .orderBy(asc(validationVote.eventId));
  const votesOf = Map.groupBy(votes, ({ contributionId }) => contributionId);
  const rows = await db
    .select()
    .from(contribution)
    .where(and(isNotNull(contribution.resolvedBlock), lte(contribution.resolvedBlock, toBlock)))
    .orderBy(asc(contribution.id));
  return rows.flatMap(({ id, datanetId, contributor, items }): JudgedContribution[] => {
    const judged = outcomeOf.get(id);
    if (judged === undefined) return [];
    const cast = (votesOf.get(id) ?? []).map(({ validator, support }) => ({
      validator: lowercase(validator),
      support,
    }));
    const place = { contributionId: id, datanetId, contributor: lowercase(contributor), items };
    return [{ ...place, ...judged, qualityBps: qualityOf.get(id) ?? 0, votes: cast }];
  });
}

/** Slashings of transactions that resolved no contribution: a rejection counts as that. */
async function slashings(db: Reader, toBlock: bigint): Promise<PublicFacts["slashings"]> {
  const resolved = await eventsOf(db, "ContributionResolved", toBlock);
  const resolving = new Set(resolved.map(({ txHash }) => txHash));
  const { event } = onchain;
  const rows = await db
    .select()
    .from(event)
    .where(and(eq(event.contract, "StakeVault"), eq(event.name, "Slashed"), lte(event.blockNumber, toBlock)))
    .orderBy(asc(event.id));
  const own = rows.filter(({ txHash }) => !resolving.has(txHash));
  const once = own.map((row) => {
    const { account, scope } = readEvent(row, "StakeVault", "Slashed")!;
    const slashing = { account: lowercase(account), scope, block: row.blockNumber };
    return [`${row.txHash} ${scope} ${slashing.account}`, slashing] as const;
  });
  return [...new Map(once).values()];
}

async function copies(db: Reader, toBlock: bigint): Promise<PublicFacts["copies"]> {
  const { contribution } = onchain;
  return db
    .select({ contributionId: chunk.contributionId, chunkId: chunk.id })
    .from(duplicate)
    .innerJoin(chunk, eq(chunk.id, duplicate.chunkId))
    .innerJoin(contribution, eq(contribution.id, chunk.contributionId))
    .where(and(ne(duplicate.chunkId, duplicate.firstChunkId), lte(contribution.resolvedBlock, toBlock)))
    .orderBy(asc(chunk.contributionId), asc(chunk.index));
}

/**
 * A gate counts from the first batch on in which an answer of its adapter was scored: until then it may not be judged.
 * Scores that an epoch had not, of batches it left out and of models whose training its poster could not have, are none.
 */
async function gates(db: Reader, toBlock: bigint, rests: EpochRests): Promise<PublicFacts["gates"]> {
  const { batch, contribution, datanetOwner, model, modelOwner } = onchain;
  const uses = db
    .select({ modelId: receipt.modelId, block: min(batch.blockNumber).as("block") })
    .from(score)
    .innerJoin(receipt, eq(receipt.digest, score.receiptDigest))
    .innerJoin(batch, eq(batch.id, receipt.batchId))
    .where(and(lte(batch.blockNumber, toBlock), isCounted(db, rests)))
    .groupBy(receipt.modelId)
    .as("uses");
  const rows = await db
    .select({
      contributionId: chunk.contributionId,
      modelId: trainingRecord.modelId,
      chunkId: trainingRecord.chunkId,
      passes: trainingRecord.passesGate,
      block: uses.block,
      modelOwner: sql<string>`(select lower(${modelOwner.owner}) from ${modelOwner}
        where ${modelOwner.modelId} = ${model.id} order by ${modelOwner.eventId} limit 1)`,
      datanetOwner: sql<string>`(select lower(${datanetOwner.owner}) from ${datanetOwner}
        where ${datanetOwner.datanetId} = ${contribution.datanetId} and ${datanetOwner.blockNumber} <= ${model.blockNumber}
        order by ${datanetOwner.eventId} desc limit 1)`,
    })
    .from(trainingRecord)
    .innerJoin(chunk, eq(chunk.id, trainingRecord.chunkId))
    .innerJoin(contribution, eq(contribution.id, chunk.contributionId))
    .innerJoin(model, eq(model.id, trainingRecord.modelId))
    .innerJoin(uses, eq(uses.modelId, trainingRecord.modelId))
    .where(isNotNull(trainingRecord.passesGate))
    .orderBy(asc(trainingRecord.modelId), asc(trainingRecord.index));
  return rows.map(({ passes, block, ...gate }) => ({ ...gate, passes: passes!, block: BigInt(block!) }));
}

/** Whether the epoch that has the receipt's batch counted its score. */
function isCounted(db: Reader, { batches, unavailable: own }: EpochRests) {
  const { batch } = onchain;
  const emptied = batches.filter(({ receipts }) => receipts.length === 0).map(({ batchId }) => batchId);
  const subject = sql<string>`'training:' || ${receipt.modelId}`;
  const past = db
    .select({ epochId: unavailable.epochId })
    .from(unavailable)
    .innerJoin(epochRun, eq(epochRun.epochId, unavailable.epochId))
    .where(
      and(
        eq(unavailable.subject, subject),
        gt(batch.blockNumber, epochRun.fromBlock),
        lte(batch.blockNumber, epochRun.toBlock),
      ),
    );
  const untrained = and(
    inArray(
      receipt.batchId,
      batches.map(({ batchId }) => batchId),
    ),
    inArray(
      subject,
      own.map((one) => one.subject),
    ),
  );
  return and(
    notExists(db.select({ id: leftOut.batchId }).from(leftOut).where(eq(leftOut.batchId, batch.id))),
    notExists(past),
    notInArray(batch.id, emptied),
    not(untrained!),
  );
}

function eventsOf(db: Reader, name: "ContributionResolved" | "ContributionScored", toBlock: bigint) {
  const { event } = onchain;
  return db
    .select()
    .from(event)
    .where(and(eq(event.contract, "DatanetRegistry"), eq(event.name, name), lte(event.blockNumber, toBlock)))
    .orderBy(asc(event.id));
}

function lowercase(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
