import { chunkTokens } from "./chunks.ts";
import { extend } from "./forward.ts";
import { judge, type LogProbTask, type Placed } from "./judge.ts";
import { copyOf, type KvCache } from "./kv-cache.ts";
import type { LoadedModel } from "./session.ts";

/**
 * Requests whose prompts are cut, in an order that brings those that begin alike together. Each part of a
 * prompt runs alone, after the keys and values of what stands before it: what it gives follows from its own
 * prompt and cuts, whether it was run for this request or for the one before. So many contexts made of the same
 * passages cost one passage each, and keep their bits.
 */
export interface CutBatch {
  readonly kind: "cut";
  readonly requests: readonly Placed[];
}

/** Most requests of a batch: a worker that must end does so between batches, and others take their share. */
const batchRequestsMax = 64;

/** Group requests of one adapter, those that begin alike side by side. */
export function planCut(requests: readonly Placed[]): CutBatch[] {
  const groups = Map.groupBy(requests, ({ request }) => request.adapter?.id ?? null);
  return [...groups.values()].flatMap((members) => {
    const sorted = members.toSorted((x, y) =>
      compareTokens(x.request.promptTokenIds, y.request.promptTokenIds),
    );
    const count = Math.ceil(sorted.length / batchRequestsMax);
    return Array.from({ length: count }, (_, index) => ({
      kind: "cut" as const,
      requests: sorted.slice(index * batchRequestsMax, (index + 1) * batchRequestsMax),
    }));
  });
}

/** log p(answer | prompt) of each request of a batch, in nats. @throws NotFiniteError if the model gives no number. */
export async function logProbCut(model: LoadedModel, batch: CutBatch): Promise<number[]> {
  let before: Begun = { ends: [], tokenIds: [], cache: null };
  const found: number[] = [];
  for (const { request } of batch.requests) {
    before = await begin(model, request, before);
    const tokens = request.promptTokenIds.length + request.answerTokenIds.length - 1;
    const chunk = chunkTokens(model.config, tokens, request.answerTokenIds.length);
    found.push(await judge(model, request, { known: before.cache, chunk, isPadded: false }));
  }
  return found;
}

/** All parts of a prompt but the last: where each ends, and their keys and values. */
interface Begun {
  readonly ends: readonly number[];
  readonly tokenIds: readonly number[];
  readonly cache: KvCache | null;
}

/** Run the parts of a prompt up to its last cut, from the last cut it shares with the one before. */
async function begin(model: LoadedModel, request: LogProbTask, before: Begun): Promise<Begun> {
  const { promptTokenIds, adapter = null, cuts: ends = [] } = request;
  const shared = sharedEnd(before, promptTokenIds, ends);
  if (shared === ends.at(-1) && shared === before.ends.at(-1)) return before;
  let cache = before.cache && shared > 0 ? copyOf(before.cache, shared) : null;
  for (const end of ends) {
    if (end <= shared) continue;
    const part = {
      known: cache,
      tokenIds: promptTokenIds.slice(0, end),
      chunk: chunkTokens(model.config, end),
      isPadded: false,
    };
    cache = await extend(model, "extendCache", adapter, part, () => ({ inputs: {} }));
  }
  return { ends, tokenIds: promptTokenIds.slice(0, ends.at(-1)), cache };
}

/** End of the last part that both prompts begin with, cut alike; 0 if there is none. */
function sharedEnd(before: Begun, promptTokenIds: readonly number[], ends: readonly number[]): number {
  let shared = 0;
  for (const [index, end] of ends.entries()) {
    if (before.ends[index] !== end) break;
    for (let at = shared; at < end; at++) if (before.tokenIds[at] !== promptTokenIds[at]) return shared;
    shared = end;
  }
  return shared;
}

function compareTokens(x: readonly number[], y: readonly number[]): number {
  const index = x.findIndex((tokenId, at) => tokenId !== y[at]);
  if (index < 0) return x.length - y.length;
  return x[index]! - (y[index] ?? -1);
}
