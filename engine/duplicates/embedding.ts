import { invariant } from "#schema/errors";

/**
 * A third look at records, after equal texts and MinHash: the sum of a model's token embeddings, which a paraphrase keeps
 * where it keeps the words in another order. It is advice and decides no money: a fact with another number in it, or with
 * its parts swapped, is as similar as a copy (`npm run bench -- duplicates`), so records that follow a template would be
 * taken from whoever came second.
 *
 * All in integers: the table is rounded once, sums and products of bytes are exact, so every machine that has the model's
 * file and tokenizer gives the same advice.
 */
export type EmbeddingTable = { readonly columns: number; readonly bytes: Int8Array };

/** From this cosine on, two records are called similar: 7 ÷ 8. */
export const similarity = { numerator: 7n, denominator: 8n } as const;

/** A record's embedding: a sum of bytes per column, below 2^53 by far. */
export type Embedding = Int32Array;

/** Tokens a record may have: the products of two embeddings stay exact in float64. */
export const embeddedTokensMax = 16_384;

/**
 * A float32 embedding matrix [tokens, columns] as bytes: less its mean row, which all tokens share, and scaled so that the
 * largest entry is 127. Float64 in a fixed order, rounded half up.
 */
export function quantiseTable(values: Float32Array, columns: number): EmbeddingTable {
  invariant(columns > 0 && values.length % columns === 0, "whole rows");
  const rows = values.length / columns;
  const means = new Float64Array(columns);
  for (let i = 0; i < values.length; i++) means[i % columns]! += values[i]! / rows;
  let peak = 0;
  for (let i = 0; i < values.length; i++) peak = Math.max(peak, Math.abs(values[i]! - means[i % columns]!));
  const bytes = new Int8Array(values.length);
  if (peak > 0) {
    for (let i = 0; i < values.length; i++)
      bytes[i] = Math.floor(((values[i]! - means[i % columns]!) * 127) / peak + 0.5);
  }
  return { columns, bytes };
}

export function embed({ columns, bytes }: EmbeddingTable, tokenIds: readonly number[]): Embedding {
  invariant(tokenIds.length <= embeddedTokensMax, `at most ${embeddedTokensMax} tokens`);
  const sums = new Int32Array(columns);
  for (const tokenId of tokenIds) {
    invariant((tokenId + 1) * columns <= bytes.length, `token ${tokenId} is in the table`);
    for (let j = 0; j < columns; j++) sums[j]! += bytes[tokenId * columns + j]!;
  }
  return sums;
}

/** Whether the cosine is at least `similarity`: a·b > 0 and (a·b · denominator)² ≥ |a|²|b|² · numerator². */
export function isSimilar(a: Embedding, b: Embedding): boolean {
  const [ab, aa, bb] = [product(a, b), product(a, a), product(b, b)].map(BigInt) as [bigint, bigint, bigint];
  const { numerator, denominator } = similarity;
  return ab > 0n && (ab * denominator) ** 2n >= aa * bb * numerator ** 2n;
}

/** For telling how like they are; `isSimilar` decides exactly. 0 where one has no words. */
export function cosine(a: Embedding, b: Embedding): number {
  return cosineOf(product(a, b), product(a, a), product(b, b));
}

function cosineOf(ab: number, aa: number, bb: number): number {
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** A record like one that is asked about. */
export type Like = { readonly id: string; readonly cosine: number };

/**
 * Which record registered before each of those asked about is most like it; of equals the first. Holds the embeddings of
 * those asked about alone, however many come before.
 */
export class Likenesses {
  readonly #asked: readonly Measured[];
  readonly #most: (Like | null)[];

  /** In the order of registration: the earlier of them come before the later. */
  constructor(asked: readonly { id: string; embedding: Embedding }[]) {
    this.#asked = asked.map(({ id, embedding }) => measured(id, embedding));
    this.#most = asked.map(() => null);
  }

  /** A record that was registered before all of those asked about, after those added so far. */
  add(id: string, embedding: Embedding): void {
    const other = measured(id, embedding);
    for (const index of this.#asked.keys()) this.#compare(index, other);
  }

  /** For each of those asked about the most similar one, null where none is. */
  most(): (Like | null)[] {
    for (const index of this.#asked.keys())
      for (const earlier of this.#asked.slice(0, index)) this.#compare(index, earlier);
    return [...this.#most];
  }

  #compare(index: number, { id, embedding, squares }: Measured): void {
    const ours = this.#asked[index]!;
    const found = cosineOf(product(ours.embedding, embedding), ours.squares, squares);
    if (found > (this.#most[index]?.cosine ?? 0) && isSimilar(ours.embedding, embedding))
      this.#most[index] = { id, cosine: found };
  }
}

type Measured = { readonly id: string; readonly embedding: Embedding; readonly squares: number };

function measured(id: string, embedding: Embedding): Measured {
  return { id, embedding, squares: product(embedding, embedding) };
}

function product(a: Embedding, b: Embedding): number {
  invariant(a.length === b.length, "embeddings of one table");
  let total = 0;
  for (let j = 0; j < a.length; j++) total += a[j]! * b[j]!;
  invariant(Number.isSafeInteger(total), "an exact product");
  return total;
}
