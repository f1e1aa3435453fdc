import { and, asc, desc, eq, inArray } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Transaction } from "#schema/database";
import * as engine from "#schema/offchain/40-engine";
import * as settlement from "#schema/offchain/50-settlement";
import * as tree from "#settlement/tree/tree";
import { batchLoader } from "./batch.ts";

export type ClaimRow = typeof onchain.claim.$inferSelect;
export type BatchRow = typeof onchain.batch.$inferSelect;
export type EpochRow = typeof onchain.epoch.$inferSelect;
export type ContributionRow = typeof onchain.contribution.$inferSelect;
export type DatanetRow = typeof onchain.datanet.$inferSelect;
export type VoteRow = typeof onchain.validationVote.$inferSelect;
export type ModelRow = typeof onchain.model.$inferSelect;
export type TrainingRow = typeof onchain.trainingManifest.$inferSelect;
export type ReceiptRow = typeof engine.receipt.$inferSelect;
export type CandidateRow = typeof engine.candidate.$inferSelect;
export type DuplicateRow = typeof engine.duplicate.$inferSelect;
export type SpanCreditRow = typeof engine.spanCredit.$inferSelect;
export type InfluenceRow = typeof engine.influence.$inferSelect;
export type ReputationRow = typeof settlement.reputation.$inferSelect;
export type SlashProposalRow = typeof settlement.slashProposal.$inferSelect;
export type StandingRow = typeof settlement.standing.$inferSelect;
export type LeftOutRow = typeof settlement.leftOut.$inferSelect;
export type UnavailableRow = typeof settlement.unavailable.$inferSelect;
export type DeadLetterRow = typeof engine.deadLetter.$inferSelect;
export type SpanRow = typeof engine.span.$inferSelect;
export type ScoreRow = typeof engine.score.$inferSelect;
export type ChunkRow = typeof engine.chunk.$inferSelect;
export type FaithfulnessRow = typeof engine.faithfulness.$inferSelect;
export type RunRow = typeof settlement.epochRun.$inferSelect;
export type EntryRow = typeof settlement.entry.$inferSelect;
export type RewardRow = typeof settlement.reward.$inferSelect;

/** One batching loader for each row a field can lead to. Made once per request, on its snapshot. */
export type RowLoaders = ReturnType<typeof rowLoaders>;

export function rowLoaders(tx: Transaction) {
  return {
    ...dataLoaders(tx),
    ...answerLoaders(tx),
    ...copyLoaders(tx),
    ...payoutLoaders(tx),
    ...epochLoaders(tx),
    ...treeLoaders(tx),
  };
}

function dataLoaders(tx: Transaction) {
  const { contribution, datanet, model, lineageEdge, trainingManifest, validationVote } = onchain;
  return {
    contribution: batchLoader(async (ids: bigint[]) =>
      byKey(await tx.select().from(contribution).where(inArray(contribution.id, ids)), (row) => row.id),
    ),
    votes: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(validationVote)
          .where(inArray(validationVote.contributionId, ids))
          .orderBy(asc(validationVote.eventId)),
        (row) => row.contributionId,
      ),
    ),
    datanet: batchLoader(async (ids: bigint[]) =>
      byKey(await tx.select().from(datanet).where(inArray(datanet.id, ids)), (row) => row.id),
    ),
    model: batchLoader(async (ids: Hex[]) =>
      byKey(await tx.select().from(model).where(inArray(model.id, ids)), (row) => row.id),
    ),
    /** The manifest that counts: the first published. */
    training: batchLoader(async (ids: Hex[]) => {
      const rows = await tx
        .select()
        .from(trainingManifest)
        .where(inArray(trainingManifest.modelId, ids))
        .orderBy(desc(trainingManifest.eventId));
      return byKey(rows, (row) => row.modelId);
    }),
    faithfulness: batchLoader(async (hashes: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(engine.faithfulness)
          .where(inArray(engine.faithfulness.artifactHash, hashes))
          .orderBy(desc(engine.faithfulness.engineVersion), asc(engine.faithfulness.measure)),
        (row) => row.artifactHash,
      ),
    ),
    parents: batchLoader(async (ids: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(lineageEdge)
          .where(inArray(lineageEdge.childId, ids))
          .orderBy(asc(lineageEdge.parentId)),
        (row) => row.childId,
      ),
    ),
  };
}

function answerLoaders(tx: Transaction) {
  const { batch } = onchain;
  const { receipt, candidate, score, chunk, duplicate, influence } = engine;
  return {
    batch: batchLoader(async (ids: bigint[]) =>
      byKey(await tx.select().from(batch).where(inArray(batch.id, ids)), (row) => row.id),
    ),
    receipt: batchLoader(async (digests: Hex[]) =>
      byKey(await tx.select().from(receipt).where(inArray(receipt.digest, digests)), (row) => row.digest),
    ),
    receiptsOfBatch: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx.select().from(receipt).where(inArray(receipt.batchId, ids)).orderBy(asc(receipt.index)),
        (row) => row.batchId,
      ),
    ),
    candidates: batchLoader(async (digests: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(candidate)
          .where(inArray(candidate.receiptDigest, digests))
          .orderBy(asc(candidate.rank)),
        (row) => row.receiptDigest,
      ),
    ),
    scores: batchLoader(async (digests: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(score)
          .where(inArray(score.receiptDigest, digests))
          .orderBy(asc(score.methodHash)),
        (row) => row.receiptDigest,
      ),
    ),
    chunk: batchLoader(async (ids: Hex[]) =>
      byKey(await tx.select().from(chunk).where(inArray(chunk.id, ids)), (row) => row.id),
    ),
    duplicate: batchLoader(async (ids: Hex[]) =>
      byKey(await tx.select().from(duplicate).where(inArray(duplicate.chunkId, ids)), (row) => row.chunkId),
    ),
    /** By `${receiptDigest}:${methodHash}`. */
    influences: batchLoader(async (keys: string[]) => {
      const digests = [...new Set(keys.map((key) => key.split(":")[0] as Hex))];
      const rows = await tx
        .select()
        .from(influence)
        .where(inArray(influence.receiptDigest, digests))
        .orderBy(desc(influence.player), asc(influence.rank));
      return Map.groupBy(rows, (row) => `${row.receiptDigest}:${row.methodHash}`);
    }),
  };
}

/** What answers copy. */
function copyLoaders(tx: Transaction) {
  const { span, spanCredit } = engine;
  return {
    spans: batchLoader(async (digests: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(span)
          .where(inArray(span.receiptDigest, digests))
          .orderBy(asc(span.index), asc(span.occurrence)),
        (row) => row.receiptDigest,
      ),
    ),
    spanCredits: batchLoader(async (digests: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(spanCredit)
          .where(inArray(spanCredit.receiptDigest, digests))
          .orderBy(desc(spanCredit.creditMicro), asc(spanCredit.chunkId)),
        (row) => row.receiptDigest,
      ),
    ),
  };
}

function payoutLoaders(tx: Transaction) {
  const { distributor, rewardAccount } = onchain;
  const { entry, reward } = settlement;
  return {
    entriesOfReceipt: batchLoader(async (digests: Hex[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(entry)
          .where(inArray(entry.receiptDigest, digests))
          .orderBy(asc(entry.epochId), asc(entry.index)),
        (row) => row.receiptDigest,
      ),
    ),
    claimedWei: batchLoader(async (accounts: Hex[]) => {
      const rows = await tx.select().from(rewardAccount).where(inArray(rewardAccount.account, accounts));
      return new Map(rows.map((row) => [row.account, row.claimed]));
    }),
    /** Cumulative reward of an account in the newest epoch that the distributor pays. */
    payable: batchLoader(async (accounts: Hex[]) => {
      const rows = await tx
        .select({ reward })
        .from(reward)
        .innerJoin(distributor, eq(distributor.epoch, reward.epochId))
        .where(inArray(reward.account, accounts));
      return byKey(
        rows.map((row) => row.reward),
        (row) => row.account,
      );
    }),
    /** By `${epochId}:${account}`. */
    reward: batchLoader(async (keys: string[]) => {
      const parts = keys.map((key) => key.split(":") as [string, Hex]);
      const ids = [...new Set(parts.map(([epochId]) => BigInt(epochId)))];
      const accounts = [...new Set(parts.map(([, account]) => account))];
      const rows = await tx
        .select()
        .from(reward)
        .where(and(inArray(reward.epochId, ids), inArray(reward.account, accounts)));
      return byKey(rows, (row) => `${row.epochId}:${row.account}`);
    }),
  };
}

function epochLoaders(tx: Transaction) {
  const { epoch } = onchain;
  const { epochRun, carried, standing, leftOut, unavailable } = settlement;
  return {
    epoch: batchLoader(async (ids: bigint[]) =>
      byKey(await tx.select().from(epoch).where(inArray(epoch.id, ids)), (row) => row.id),
    ),
    run: batchLoader(async (ids: bigint[]) =>
      byKey(await tx.select().from(epochRun).where(inArray(epochRun.epochId, ids)), (row) => row.epochId),
    ),
    carried: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx.select().from(carried).where(inArray(carried.epochId, ids)).orderBy(asc(carried.modelId)),
        (row) => row.epochId,
      ),
    ),
    standings: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(standing)
          .where(inArray(standing.epochId, ids))
          .orderBy(asc(standing.modelId), asc(standing.account)),
        (row) => row.epochId,
      ),
    ),
    leftOut: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx.select().from(leftOut).where(inArray(leftOut.epochId, ids)).orderBy(asc(leftOut.batchId)),
        (row) => row.epochId,
      ),
    ),
    unavailable: batchLoader(async (ids: bigint[]) =>
      Map.groupBy(
        await tx
          .select()
          .from(unavailable)
          .where(inArray(unavailable.epochId, ids))
          .orderBy(asc(unavailable.subject)),
        (row) => row.epochId,
      ),
    ),
  };
}

function treeLoaders(tx: Transaction) {
  const { entry, reward } = settlement;
  return {
    rewardTree: batchLoader(async (ids: bigint[]) => {
      const rows = await tx
        .select({ epochId: reward.epochId, leaf: reward.leaf })
        .from(reward)
        .where(inArray(reward.epochId, ids));
      return trees(rows);
    }),
    attributionTree: batchLoader(async (ids: bigint[]) => {
      const rows = await tx
        .select({ epochId: entry.epochId, leaf: entry.leaf })
        .from(entry)
        .where(inArray(entry.epochId, ids));
      return trees(rows);
    }),
  };
}

function byKey<K, V>(rows: V[], keyOf: (row: V) => K): Map<K, V> {
  return new Map(rows.map((row) => [keyOf(row), row]));
}

function trees(rows: { epochId: bigint; leaf: Hex }[]): Map<bigint, tree.Tree> {
  const grouped = Map.groupBy(rows, (row) => row.epochId);
  return new Map([...grouped].map(([id, list]) => [id, tree.build(list.map(({ leaf }) => leaf))]));
}
