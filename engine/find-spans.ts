import { and, asc, eq, inArray, lt } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant } from "#schema/errors";
import { chunk, receipt, span } from "#schema/offchain/index";
import { occurrencesKeptMax, spansKeptMax } from "./constants.ts";
import { assertContributionsFetched, findUses } from "./fetch/batch.ts";
import type { Task } from "./queue/run-jobs.ts";
import { buildShard, type Shard } from "./spans/shard.ts";
import { findSpans, unigramOf } from "./spans/spans.ts";
import { Vocabulary, type Word, wordsOf } from "./spans/words.ts";

/** Finds what answers copy word for word. One per process: it keeps a shard of each contribution it has met. */
export type SpanFinder = (task: Task<"find-spans">) => Promise<void>;

type Batch = typeof onchain.batch.$inferSelect;
/** A contribution's chunks as a shard; `words` of each chunk, for where a span stands in it. */
type Source = { shard: Shard; words: ReadonlyMap<string, readonly Word[]> };

/**
 * Write the spans that a receipt's answer shares with the records of its model's Datanets, accepted before its batch: a
 * third dimension beside influence, labelled verbatim. It pays nothing: that a text was copied does not say that it moved
 * the answer. Doing it again changes nothing.
 */
export function createSpanFinder(db: Drizzle): SpanFinder {
  const vocabulary = new Vocabulary();
  const sources = new Map<bigint, Source>();
  return async ({ data: { receiptDigest } }) => {
    const [row] = await db.select().from(receipt).where(eq(receipt.digest, receiptDigest));
    invariant(row !== undefined, `a job has its receipt ${receiptDigest}`);
    const [batch] = await db.select().from(onchain.batch).where(eq(onchain.batch.id, row.batchId));
    invariant(batch !== undefined, `a receipt has its batch ${row.batchId}`);
    if (row.answer === null) return;
    const found = await readSources(db, batch, row.modelId, { vocabulary, sources });
    const rows = spanRows(receiptDigest, row.answer, vocabulary, found);
    if (rows.length > 0) await db.insert(span).values(rows).onConflictDoNothing();
  };
}

type Known = { vocabulary: Vocabulary; sources: Map<bigint, Source> };

async function readSources(
  db: Drizzle,
  batch: Batch,
  modelId: Hex,
  { vocabulary, sources }: Known,
): Promise<Source[]> {
  await assertContributionsFetched(db, batch);
  const uses = await findUses(db, batch);
  const datanetIds = [...uses].flatMap((use) =>
    use.startsWith(modelId) ? [BigInt(use.split(" ")[1]!)] : [],
  );
  if (datanetIds.length === 0) return [];
  const { contribution } = onchain;
  const ids = await db
    .selectDistinct({ id: contribution.id })
    .from(contribution)
    .innerJoin(chunk, eq(chunk.contributionId, contribution.id))
    .where(
      and(inArray(contribution.datanetId, datanetIds), lt(contribution.resolvedBlock, batch.blockNumber)),
    )
    .orderBy(asc(contribution.id));
  for (const { id } of ids) {
    if (!sources.has(id)) sources.set(id, await readSource(db, id, vocabulary));
  }
  return ids.map(({ id }) => sources.get(id)!);
}

async function readSource(db: Drizzle, contributionId: bigint, vocabulary: Vocabulary): Promise<Source> {
  const chunks = await db
    .select({ id: chunk.id, text: chunk.text })
    .from(chunk)
    .where(eq(chunk.contributionId, contributionId))
    .orderBy(asc(chunk.index));
  const words = new Map(chunks.map(({ id, text }) => [id as string, wordsOf(text)]));
  const records = [...words].map(([id, of]) => ({ id, tokenIds: vocabulary.add(of) }));
  return { shard: buildShard(records), words };
}

function spanRows(receiptDigest: Hex, answer: string, vocabulary: Vocabulary, sources: readonly Source[]) {
  const shards = sources.map(({ shard }) => shard);
  const words = wordsOf(answer);
  const spans = findSpans(shards, unigramOf(shards), vocabulary.read(words)).slice(0, spansKeptMax);
  const wordsOfChunk = new Map(sources.flatMap((source) => [...source.words]));
  return spans.flatMap(({ start, length, surpriseNats, occurrenceCount, occurrences }, index) =>
    occurrences.slice(0, occurrencesKeptMax).map(({ recordId, start: from }, occurrence) => {
      const inRecord = wordsOfChunk.get(recordId)!;
      return {
        receiptDigest,
        index,
        occurrence,
        answerStart: words[start]!.start,
        answerEnd: words[start + length - 1]!.end,
        chunkId: recordId as Hex,
        sourceStart: inRecord[from]!.start,
        sourceEnd: inRecord[from + length - 1]!.end,
        surpriseMicro: BigInt(Math.round(surpriseNats * 1e6)),
        occurrenceCount,
      };
    }),
  );
}
