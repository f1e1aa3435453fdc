import { and, eq, inArray, lte, notInArray } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { readEvent } from "#schema/events";
import { chunk } from "#schema/offchain/index";
import * as tree from "#settlement/tree/tree";
import type { FinalBlockReader } from "./final-block.ts";
import { build, type RetrievalIndex } from "./retrieval/rank.ts";

/** A chunk as an answer shows it. */
export type SourceChunk = { id: Hex; text: string; source: string; contributionId: bigint; contributor: Hex };

/** What can be retrieved at one moment. Replaced as a whole, never changed. */
export type Library = {
  index: RetrievalIndex;
  chunks: ReadonlyMap<Hex, SourceChunk>;
  contributionIds: readonly bigint[];
};

/**
 * The retrievable chunks of one model, kept up to date: those of accepted contributions to the Datanets it uses, less
 * retracted ones, all as of the final block. `refresh` compares the set of contributions and builds a new index only
 * where it differs; requests keep the old one meanwhile.
 */
export type LiveIndex = { current: () => Library; refresh: () => Promise<boolean> };

type Options = { db: Drizzle; modelId: Hex; finalBlock: FinalBlockReader };

export async function openLiveIndex({ db, modelId, finalBlock }: Options): Promise<LiveIndex> {
  let library: Library = { index: await build([]), chunks: new Map(), contributionIds: [] };
  return {
    current: () => library,
    refresh: async () => {
      const block = await finalBlock();
      if (block === 0n) return false;
      const contributionIds = await findContributions(db, modelId, block);
      if (isSame(contributionIds, library.contributionIds)) return false;
      library = await load(db, contributionIds);
      return true;
    },
  };
}

/** Contributions that hold retrievable chunks at the final block, ascending. The engine writes chunks only of accepted, final ones. */
async function findContributions(db: Drizzle, modelId: Hex, finalBlock: bigint): Promise<bigint[]> {
  const datanetIds = await findDatanets(db, modelId, finalBlock);
  if (datanetIds.length === 0) return [];
  const { contribution } = onchain;
  const retracted = db
    .select({ id: contribution.id })
    .from(contribution)
    .where(lte(contribution.retractedBlock, finalBlock));
  const rows = await db
    .selectDistinct({ id: chunk.contributionId })
    .from(chunk)
    .where(and(inArray(chunk.datanetId, datanetIds), notInArray(chunk.contributionId, retracted)))
    .orderBy(chunk.contributionId);
  return rows.map(({ id }) => id);
}

/**
 * Datanets the model retrieves from: declared with an empty snapshot. From the log, since `onchain.model_datanet`
 * keeps the last declaration alone, which may not be final.
 */
async function findDatanets(db: Drizzle, modelId: Hex, finalBlock: bigint): Promise<bigint[]> {
  const { event } = onchain;
  const rows = await db
    .select()
    .from(event)
    .where(
      and(
        eq(event.contract, "ModelRegistry"),
        eq(event.name, "DatanetUsed"),
        lte(event.blockNumber, finalBlock),
      ),
    );
  const used = rows.map((row) => readEvent(row, "ModelRegistry", "DatanetUsed"));
  return used.flatMap((u) =>
    u?.modelId === modelId && u.snapshotRoot === tree.zeroRoot ? [u.datanetId] : [],
  );
}

async function load(db: Drizzle, contributionIds: bigint[]): Promise<Library> {
  const rows = await db
    .select({
      id: chunk.id,
      text: chunk.text,
      source: chunk.source,
      contributionId: chunk.contributionId,
      contributor: chunk.contributor,
    })
    .from(chunk)
    .where(inArray(chunk.contributionId, contributionIds));
  return { index: await build(rows), chunks: new Map(rows.map((row) => [row.id, row])), contributionIds };
}

function isSame(a: readonly bigint[], b: readonly bigint[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
