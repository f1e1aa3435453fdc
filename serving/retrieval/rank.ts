import MiniSearch from "minisearch";
import type { Hex } from "viem";

/** A chunk as retrieval sees it. */
export type IndexedChunk = { id: Hex; text: string };

/** A ranked chunk. `scoreMicro` is the BM25+ score in millionths, what the receipt commits. */
export type Ranked = { chunkId: Hex; scoreMicro: bigint };

/** An index over one set of chunks, read-only once built. */
export type RetrievalIndex = { readonly chunkCount: number; readonly search: MiniSearch<IndexedChunk> };

/** Chunks indexed before the event loop gets its turn. */
const chunksPerTurn = 200;

/**
 * Index a set of chunks. A pure function of the set: chunks are added in the order of their ids, because MiniSearch
 * keeps the mean field length as a running mean of doubles and drops deleted documents lazily, so that another order
 * of insertion, or an index with removals, could score the same set differently in the last bits.
 * It yields to the event loop as it goes, so requests are answered from the old index meanwhile.
 */
export async function build(chunks: readonly IndexedChunk[]): Promise<RetrievalIndex> {
  const ordered = [...chunks].sort((a, b) => compareHex(a.id, b.id));
  const search = new MiniSearch<IndexedChunk>({ fields: ["text"], storeFields: [], autoVacuum: false });
  await search.addAllAsync(ordered, { chunkSize: chunksPerTurn });
  return { chunkCount: ordered.length, search };
}

/**
 * The `count` best chunks for a question, in a total order: score descending, then chunk id ascending. Every chunk
 * that shares a term with the question is scored (BM25+ with k 1.2, b 0.7, δ 0.5: Lv and Zhai 2011), so the result
 * is exact. Chunks that share none are no candidates; the list may be shorter than `count`, or empty.
 */
export function rank(index: RetrievalIndex, question: string, count: number): Ranked[] {
  return index.search
    .search(question)
    .map((result) => ({ chunkId: result.id as Hex, scoreMicro: BigInt(Math.round(result.score * 1e6)) }))
    .sort(byScoreThenId)
    .slice(0, count);
}

function byScoreThenId(a: Ranked, b: Ranked): number {
  if (a.scoreMicro !== b.scoreMicro) return a.scoreMicro > b.scoreMicro ? -1 : 1;
  return compareHex(a.chunkId, b.chunkId);
}

function compareHex(a: Hex, b: Hex): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
