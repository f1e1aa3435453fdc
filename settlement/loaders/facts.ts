import { and, asc, eq, gt, inArray, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { type Reputations, reputationsOf } from "#engine/reputation/history";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { chunk, duplicate, trainingRecord } from "#schema/offchain/40-engine";
import type { ContributionFacts, Facts, MembershipFacts, ModelFacts } from "../allocation/facts.ts";
import { lineageDepthMax } from "../allocation/lineage.ts";
import { ownedAt } from "../allocation/owners.ts";
import { wad } from "../allocation/wad.ts";
import { loadOwners } from "./owners.ts";
import { type EpochRests, loadPublicFacts, loadToBlocks } from "./reputation.ts";

const { contribution, datanet, lineageEdge, model, validationVote } = onchain;
type Reader = Drizzle | Transaction;

/** What the chain says about the chunks and models of these batches, as of `toBlock`, and the engine of their classes and gates. */
export async function loadFacts(
  db: Reader,
  { batches, unavailable }: EpochRests,
  toBlock: bigint,
): Promise<Facts & { reputations: Reputations }> {
  const receipts = batches.flatMap((batch) => batch.receipts);
  const modelIds = [...new Set(receipts.map(({ modelId }) => modelId))];
  const named = receipts.flatMap(({ candidates, passages, records }) => [
    ...candidates.map(({ chunkId }) => chunkId),
    ...passages.keys(),
    ...records.map(({ chunkId }) => chunkId),
  ]);
  const memberships = await membershipsOf(db, [...new Set(named)]);
  const firsts = [...memberships.values()].map(({ firstChunkId }) => firstChunkId);
  const contributions = await contributionsOf(db, [...new Set([...named, ...firsts])], toBlock);
  const models = await modelsOf(db, modelIds);
  const gated = await gatedRecords(db, modelIds);
  const heard = await loadPublicFacts(db, toBlock, { batches, unavailable });
  const reputations = reputationsOf(heard, await loadToBlocks(db, toBlock));
  const facts: Facts & { reputations: Reputations } = {
    contributionOf: (chunkId) => contributions.get(chunkId),
    modelOf: (modelId) => models.get(modelId),
    membershipOf: (chunkId) => memberships.get(chunkId),
    passesGate: (modelId, chunkId) => !gated.has(`${modelId} ${chunkId}`),
    attenuationWad: ({ account, datanetIds }) => reputations.contributorWad(account, datanetIds),
    reputations,
  };
  const ids = {
    batchIds: batches.map(({ batchId }) => batchId),
    datanetIds: [...new Set([...contributions.values()].map(({ datanetId }) => datanetId))],
    modelIds: [...models.keys()],
  };
  const owners = await loadOwners(db, ids, toBlock);
  return { ...facts, ownedAt: (batchId) => ownedAt(facts, owners, batchId) };
}

/** Chunks that are not the first of their class, or not wholly their own. */
async function membershipsOf(db: Reader, chunkIds: Hex[]): Promise<Map<Hex, MembershipFacts>> {
  const memberships = new Map<Hex, MembershipFacts>();
  for (let start = 0; start < chunkIds.length; start += idsMax) {
    const rows = await db
      .select()
      .from(duplicate)
      .where(inArray(duplicate.chunkId, chunkIds.slice(start, start + idsMax)));
    for (const { chunkId, firstChunkId, noveltyWad } of rows) {
      if (chunkId !== firstChunkId || noveltyWad < wad)
        memberships.set(chunkId, { firstChunkId, noveltyWad });
    }
  }
  return memberships;
}

/** "model chunk" of each training record that did not pass its model's gate. */
async function gatedRecords(db: Reader, modelIds: Hex[]): Promise<Set<string>> {
  if (modelIds.length === 0) return new Set();
  const { modelId, chunkId, passesGate } = trainingRecord;
  const rows = await db
    .select({ modelId, chunkId })
    .from(trainingRecord)
    .where(and(inArray(modelId, modelIds), eq(passesGate, false)));
  return new Set(rows.map((row) => `${row.modelId} ${row.chunkId}`));
}

/** Most ids in one query; PostgreSQL allows 65,535 parameters. */
const idsMax = 10_000;

async function contributionsOf(
  db: Reader,
  chunkIds: Hex[],
  toBlock: bigint,
): Promise<Map<Hex, ContributionFacts>> {
  const facts = new Map<Hex, ContributionFacts>();
  for (let start = 0; start < chunkIds.length; start += idsMax) {
    const rows = await db
      .select({ chunkId: chunk.id, contribution, datanet })
      .from(chunk)
      .innerJoin(contribution, eq(contribution.id, chunk.contributionId))
      .innerJoin(datanet, eq(datanet.id, contribution.datanetId))
      .where(inArray(chunk.id, chunkIds.slice(start, start + idsMax)));
    const votes = await votesOf(db, [...new Set(rows.map((row) => row.contribution.id))], toBlock);
    for (const { chunkId, contribution: c, datanet: d } of rows) {
      facts.set(chunkId, {
        contributionBatchId: c.id,
        datanetId: c.datanetId,
        contributor: lowercase(c.contributor),
        isRetracted: c.retractedBlock !== null && c.retractedBlock <= toBlock,
        datanetOwner: lowercase(d.owner),
        ownerBps: d.ownerBps,
        validatorBps: d.validatorBps,
        votes: votes.get(c.id) ?? [],
      });
    }
  }
  return facts;
}

/** Votes for each contribution up to `toBlock`, ascending by validator. */
async function votesOf(db: Reader, contributionIds: bigint[], toBlock: bigint) {
  if (contributionIds.length === 0) return new Map<bigint, ContributionFacts["votes"]>();
  const { contributionId, validator, weight, support, blockNumber } = validationVote;
  const rows = await db
    .select({ contributionId, validator, weight })
    .from(validationVote)
    .where(
      and(
        inArray(contributionId, contributionIds),
        eq(support, true),
        gt(weight, 0n),
        lte(blockNumber, toBlock),
      ),
    )
    .orderBy(asc(contributionId), asc(validator));
  return Map.groupBy(
    rows.map((row) => ({ ...row, validator: lowercase(row.validator) })),
    (row) => row.contributionId,
  );
}

/** The models and all their ancestors, one generation per round. */
async function modelsOf(db: Reader, modelIds: Hex[]): Promise<Map<Hex, ModelFacts>> {
  const facts = new Map<Hex, ModelFacts>();
  let generation = modelIds;
  for (let depth = 0; depth <= lineageDepthMax && generation.length > 0; depth++) {
    const rows = await db.select().from(model).where(inArray(model.id, generation));
    const edges = await db
      .select()
      .from(lineageEdge)
      .where(inArray(lineageEdge.childId, generation))
      .orderBy(asc(lineageEdge.parentId));
    const parentsOf = Map.groupBy(edges, ({ childId }) => childId);
    for (const { id, owner, ownerBps, depth: modelDepth } of rows) {
      const parents = (parentsOf.get(id) ?? []).map(({ parentId, weightBps }) => ({
        modelId: parentId,
        weightBps,
      }));
      facts.set(id, { modelId: id, owner: lowercase(owner), ownerBps, depth: modelDepth, parents });
    }
    generation = [...new Set(edges.map(({ parentId }) => parentId))].filter((id) => !facts.has(id));
  }
  return facts;
}

function lowercase(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
