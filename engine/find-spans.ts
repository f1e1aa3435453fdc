import { and, asc, eq, inArray, lt } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant } from "#schema/errors";
import { chunk, duplicate, receipt, span, spanCredit } from "#schema/offchain/index";
import {
  classesPerQuery,
  occurrencesKeptMax,
  spanCreditsMax,
  spansKeptMax,
  spanVocabularyMax,
  spanWordsMax,
} from "./constants.ts";
import { assertContributionsFetched, findUses } from "./fetch/batch.ts";
import type { Task } from "./queue/run-jobs.ts";
import { ClassesPendingError } from "./score-receipt.ts";
import { buildShard, type Shard } from "./spans/shard.ts";
import { creditSpans, findSpans, type Span, type SpanCredit, unigramOf } from "./spans/spans.ts";
import { Vocabulary, type Word, wordsOf } from "./spans/words.ts";

/**
 * Finds what answers copy word for word. One per process: it keeps a shard of each contribution it has met, of at most
 * `spanWordsMax` words together, and forgets all of them where they hold more than `spanVocabularyMax` different ones.
 */
export type SpanFinder = (task: Task<"find-spans">) => Promise<void>;

type Batch = typeof onchain.batch.$inferSelect;

/**
 * Write the spans that a receipt's answer shares with the records of its model's Datanets, accepted before its batch, and
 * what each class of duplicates has of them: a third dimension beside influence, labelled verbatim. It pays nothing: that a text was copied does not say that it moved
 * the answer. Where the Datanets hold more than `wordsMax` words, the contributions registered first are looked through.
 * Doing it again changes nothing.
 * @throws ClassesPendingError until every record copied from has its class of duplicates.
 */
export function createSpanFinder(
  db: Drizzle,
  { wordsMax = spanWordsMax, vocabularyMax = spanVocabularyMax } = {},
): SpanFinder {
  const nothingKnown = (): Known => ({ vocabulary: new Vocabulary(), shards: new Map(), wordsMax });
  let newest = nothingKnown();
  return async ({ data: { receiptDigest }, signal }) => {
    const [row] = await db.select().from(receipt).where(eq(receipt.digest, receiptDigest));
    invariant(row !== undefined, `a job has its receipt ${receiptDigest}`);
    const [batch] = await db.select().from(onchain.batch).where(eq(onchain.batch.id, row.batchId));
    invariant(batch !== undefined, `a receipt has its batch ${row.batchId}`);
    if (row.answer === null) return;
    // The ids of a shard are those of its vocabulary, so other answers under way keep theirs.
    if (newest.vocabulary.size > vocabularyMax) newest = nothingKnown();
    const known = newest;
    const shards = await readShards(db, { batch, modelId: row.modelId, signal }, known);
    const found = spansIn(row.answer, known.vocabulary, shards);
    const credits = found.credits(await readClasses(db, found));
    const rows = spanRows(receiptDigest, found, await readWords(db, found));
    const credited = creditRows(receiptDigest, credits);
    await db.transaction(async (tx) => {
      if (rows.length > 0) await tx.insert(span).values(rows).onConflictDoNothing();
      if (credited.length > 0) await tx.insert(spanCredit).values(credited).onConflictDoNothing();
    });
  };
}

/** `shards` of contributions, the ones used last at the end. */
type Known = { vocabulary: Vocabulary; shards: Map<bigint, Shard>; wordsMax: number };

type Asked = { batch: Batch; modelId: Hex; signal: AbortSignal };

async function readShards(db: Drizzle, { batch, modelId, signal }: Asked, known: Known): Promise<Shard[]> {
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
  const found: Shard[] = [];
  let words = 0;
  for (const { id } of ids) {
    signal.throwIfAborted();
    const shard = known.shards.get(id) ?? (await readShard(db, id, known.vocabulary));
    words += shard.text.length;
    if (words > known.wordsMax) break;
    known.shards.delete(id);
    known.shards.set(id, shard);
    found.push(shard);
  }
  forget(known);
  return found;
}

/** Drops the shards used longest ago; what this answer needs is the newest and within the bound. */
function forget({ shards, wordsMax }: Known): void {
  let words = [...shards.values()].reduce((total, { text }) => total + text.length, 0);
  for (const [id, { text }] of shards) {
    if (words <= wordsMax) return;
    shards.delete(id);
    words -= text.length;
  }
}

async function readShard(db: Drizzle, contributionId: bigint, vocabulary: Vocabulary): Promise<Shard> {
  const chunks = await db
    .select({ id: chunk.id, text: chunk.text })
    .from(chunk)
    .where(eq(chunk.contributionId, contributionId))
    .orderBy(asc(chunk.index));
  return buildShard(chunks.map(({ id, text }) => ({ id, tokenIds: vocabulary.add(wordsOf(text)) })));
}

/** `spans` with the places that become rows; credits are of all that were found, in all their places. */
type FoundSpans = {
  words: readonly Word[];
  spans: readonly Span[];
  recordIds: readonly Hex[];
  credits: (classes: ReadonlyMap<string, string>) => SpanCredit[];
};

function spansIn(answer: string, vocabulary: Vocabulary, shards: readonly Shard[]): FoundSpans {
  const words = wordsOf(answer);
  const [unigram, tokenIds] = [unigramOf(shards), vocabulary.read(words)];
  const spans = findSpans(shards, unigram, tokenIds);
  const kept = spans
    .slice(0, spansKeptMax)
    .map((span) => ({ ...span, occurrences: span.occurrences.slice(0, occurrencesKeptMax) }));
  const places = spans.flatMap(({ occurrences }) => occurrences);
  return {
    ...{ words, spans: kept, recordIds: [...new Set(places.map(({ recordId }) => recordId as Hex))] },
    credits: (classes) => creditSpans(spans, unigram, tokenIds, (recordId) => classes.get(recordId)!),
  };
}

/** First chunk of the class of each record that is copied from. */
async function readClasses(db: Drizzle, { recordIds }: FoundSpans): Promise<Map<string, string>> {
  const classes = new Map<string, string>();
  for (let from = 0; from < recordIds.length; from += classesPerQuery) {
    const ids = recordIds.slice(from, from + classesPerQuery);
    const rows = await db.select().from(duplicate).where(inArray(duplicate.chunkId, ids));
    for (const { chunkId, firstChunkId } of rows) classes.set(chunkId, firstChunkId);
  }
  const open = recordIds.find((id) => !classes.has(id));
  if (open !== undefined) throw new ClassesPendingError(open);
  return classes;
}

/** The largest credits, none of which rounds to nothing. */
function creditRows(receiptDigest: Hex, credits: readonly SpanCredit[]) {
  return credits
    .map(({ classId, nats }) => ({
      ...{ receiptDigest, chunkId: classId as Hex, creditMicro: BigInt(Math.round(nats * 1e6)) },
    }))
    .filter(({ creditMicro }) => creditMicro > 0n)
    .slice(0, spanCreditsMax);
}

/** Words of the chunks that spans stand in, of the places that become rows. */
async function readWords(db: Drizzle, { spans }: FoundSpans): Promise<Map<string, Word[]>> {
  const ids = new Set(spans.flatMap(({ occurrences }) => occurrences.map(({ recordId }) => recordId as Hex)));
  if (ids.size === 0) return new Map();
  const rows = await db
    .select({ id: chunk.id, text: chunk.text })
    .from(chunk)
    .where(inArray(chunk.id, [...ids]));
  return new Map(rows.map(({ id, text }) => [id, wordsOf(text)]));
}

function spanRows(
  receiptDigest: Hex,
  { words, spans }: FoundSpans,
  wordsOfChunk: ReadonlyMap<string, readonly Word[]>,
) {
  return spans.flatMap(({ start, length, surpriseNats, occurrenceCount, occurrences }, index) =>
    occurrences.map(({ recordId, start: from }, occurrence) => {
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
