import { copyOf, type KvCache } from "#runtime/inference/kv-cache";

/** Fewest tokens worth reusing: below it, a prefill costs no more. */
const sharedTokensMin = 16;

interface Entry {
  /** Its id, null for the base model. */
  readonly adapter: number | null;
  readonly tokenIds: readonly number[];
  readonly cache: KvCache;
}

/**
 * Keys and values of prompts, kept so that the next prompt that begins alike starts where they part. They
 * depend on the adapter that made them, so they are found under its id only. Oldest used go first, so what an
 * unloaded adapter made goes in its turn: no id comes back.
 */
export interface PrefixCache {
  /** A copy of the longest beginning of `tokenIds` that is known under this adapter, its last token excluded; or null. */
  find(adapter: number | null, tokenIds: readonly number[]): KvCache | null;
  /** Keep a prompt's cache as it is now; it is copied. */
  keep(adapter: number | null, tokenIds: readonly number[], cache: KvCache): void;
}

/** A cache of at most `bytesMax` bytes of keys and values. */
export function createPrefixCache(bytesMax: number): PrefixCache {
  let entries: Entry[] = [];
  return {
    find: (adapter, tokenIds) => {
      let best: { entry: Entry; shared: number } | null = null;
      for (const entry of entries) {
        if (entry.adapter !== adapter) continue;
        const shared = Math.min(sharedTokens(entry.tokenIds, tokenIds), tokenIds.length - 1);
        if (shared >= sharedTokensMin && shared > (best?.shared ?? 0)) best = { entry, shared };
      }
      if (!best) return null;
      const { entry, shared } = best;
      entries = [...entries.filter((other) => other !== entry), entry];
      return copyOf(entry.cache, shared);
    },
    keep: (adapter, tokenIds, cache) => {
      const known = entries.some(
        (entry) => entry.adapter === adapter && sharedTokens(entry.tokenIds, tokenIds) === tokenIds.length,
      );
      if (known || bytesOf(cache) > bytesMax) return;
      entries.push({ adapter, tokenIds: [...tokenIds], cache: copyOf(cache, tokenIds.length) });
      while (entries.reduce((sum, entry) => sum + bytesOf(entry.cache), 0) > bytesMax) entries.shift();
    },
  };
}

function sharedTokens(x: readonly number[], y: readonly number[]): number {
  const end = Math.min(x.length, y.length);
  for (let index = 0; index < end; index++) if (x[index] !== y[index]) return index;
  return end;
}

function bytesOf({ keys, values }: KvCache): number {
  return [...keys, ...values].reduce((sum, { byteLength }) => sum + byteLength, 0);
}
