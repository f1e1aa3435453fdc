import type { Tensor } from "onnxruntime-node";
import { invariant } from "#runtime/errors";
import type { KvCache } from "./kv-cache.ts";

/**
 * The keys and values of a running batch where they were computed: a step's outputs are the next one's inputs, and
 * do not travel. The host's cache stays the one that counts: it takes the new tokens as ever, and after a change
 * of rows or slots a step reads from it again.
 */
export interface ResidentCache {
  /** `pastKey.i` and `pastValue.i` of the first `rows` rows, if what lies here is this cache as it is now. */
  feeds(cache: KvCache, rows: number): Readonly<Record<string, Tensor>> | undefined;
  /** Take a step's `keptKey.i` and `keptValue.i` as what the cache holds now, and give back those before. */
  replace(cache: KvCache, rows: number, kept: ReadonlyMap<string, Tensor>): void;
  /** Give back all of it. */
  clear(): void;
}

/** A cache that holds nothing yet. Its tensors are given back by `dispose`: the device frees none by itself. */
export function createResidentCache(): ResidentCache {
  let held: { cache: KvCache; state: string; tensors: Record<string, Tensor> } | undefined;
  const clear = () => {
    for (const tensor of Object.values(held?.tensors ?? {})) tensor.dispose();
    held = undefined;
  };
  return {
    feeds: (cache, rows) =>
      held?.cache === cache && held.state === stateOf(cache, rows) ? held.tensors : undefined,
    replace: (cache, rows, kept) => {
      clear();
      invariant(kept.size === 2 * cache.shape.layerCount, "a step keeps every layer");
      const tensors = [...kept].map(([name, tensor]) => [name.replace("kept", "past"), tensor] as const);
      held = { cache, state: stateOf(cache, rows), tensors: Object.fromEntries(tensors) };
    },
    clear,
  };
}

/** What must be the same for a copy to be the cache. */
function stateOf({ version, capacity, lengths }: KvCache, rows: number): string {
  return [version, capacity, rows, ...lengths].join();
}
