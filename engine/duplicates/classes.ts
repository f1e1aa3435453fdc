import { invariant, PipelineError } from "#schema/errors";
import { bandKeys, fold, intersectionSize, jaccard, shingles, signature } from "./shingles.ts";

/** From this share of common shingles on, two records are one player. */
export const jaccardMin = 0.8;

/**
 * Records that share a band are compared, but at most this many of those that came before, the first ones: a band that a
 * thousand records share is a template. Which later copies this could miss meet in other bands.
 */
export const comparisonsMax = 64;

/** Records of one index: it is in memory, some five kilobytes for each of 45 words, and a process has four gigabytes of heap. */
export const indexedRecordsMax = 400_000;

/** A record, in the order in which its contribution was verified: earlier ones have priority. */
export type Registered = { readonly id: string; readonly text: string };

/**
 * What duplicates make of a record. `classId` is the id of the first record of its class, which alone is paid for it.
 * `novelShingles` of `shingleCount` stand in no earlier class: the part of a record that is its own.
 */
export type Membership = {
  readonly id: string;
  readonly classId: string;
  readonly kind: "first" | "exact" | "near";
  readonly novelShingles: number;
  readonly shingleCount: number;
};

/**
 * Classes of duplicates over records in the order of their registration: equal when folded, or a Jaccard similarity of
 * shingles of at least `jaccardMin` with the first of a class. Against firsts only, so that a chain of small edits does
 * not draw unlike records into one class, and a class never changes by what comes later: a record's place is final when
 * it is registered. Pure and in a fixed order: whoever has the texts gets the same classes.
 */
export function classify(records: readonly Registered[]): Membership[] {
  const index = new ClassIndex();
  return records.map((record) => index.add(record));
}

/** The same, a record at a time. */
export class ClassIndex {
  readonly #byText = new Map<string, string>();
  readonly #bands = new Map<string, number[]>();
  readonly #firsts: { id: string; shingles: Uint32Array }[] = [];
  readonly #known = new Set<number>();
  readonly #ids = new Set<string>();
  readonly #recordsMax: number;

  constructor(recordsMax = indexedRecordsMax) {
    this.#recordsMax = recordsMax;
  }

  /** @throws ClassIndexFullError; nothing is added then. */
  add({ id, text }: Registered): Membership {
    if (this.#ids.size >= this.#recordsMax) throw new ClassIndexFullError(this.#recordsMax);
    invariant(!this.#ids.has(id), `record ${id} is registered once`);
    this.#ids.add(id);
    const folded = fold(text);
    const set = shingles(folded);
    const shingleCount = set.length;
    const exact = this.#byText.get(folded);
    if (exact !== undefined) return { id, classId: exact, kind: "exact", novelShingles: 0, shingleCount };
    const keys = bandKeys(signature(set));
    const near = this.#nearest(set, keys);
    const novelShingles = set.reduce((count, shingle) => count + (this.#known.has(shingle) ? 0 : 1), 0);
    this.#byText.set(folded, near ?? id);
    if (near !== undefined) return { id, classId: near, kind: "near", novelShingles, shingleCount };
    const position = this.#firsts.push({ id, shingles: set }) - 1;
    for (const key of keys) {
      const members = this.#bands.get(key);
      if (members === undefined) this.#bands.set(key, [position]);
      else if (members.length < comparisonsMax) members.push(position);
    }
    for (const shingle of set) this.#known.add(shingle);
    return { id, classId: id, kind: "first", novelShingles, shingleCount };
  }

  /** The most similar first that meets the bound; of equals the earliest. */
  #nearest(set: Uint32Array, keys: readonly string[]): string | undefined {
    const positions = new Set(keys.flatMap((key) => this.#bands.get(key) ?? []));
    let best: { id: string; similarity: number } | undefined;
    for (const position of [...positions].sort((a, b) => a - b)) {
      const first = this.#firsts[position]!;
      const similarity = jaccard(set, first.shingles);
      if (similarity >= jaccardMin && similarity > (best?.similarity ?? 0))
        best = { id: first.id, similarity };
    }
    return best?.id;
  }
}

/** How much of `later`'s shingles `earlier` has: for telling a contributor which record was there before. */
export function overlap(later: string, earlier: string): { common: number; shingleCount: number } {
  const [a, b] = [shingles(fold(later)), shingles(fold(earlier))];
  return { common: intersectionSize(a, b), shingleCount: a.length };
}

export class ClassIndexFullError extends PipelineError {
  override readonly name = "ClassIndexFullError";
  constructor(recordsMax: number) {
    super(
      `the index of duplicates is full. Max: ${recordsMax} records. What was registered later gets no class, and answers that name it no score.`,
      { code: "class_index_full", retryable: true },
    );
  }
}
