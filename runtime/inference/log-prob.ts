import type { Decoder } from "#runtime/decoder/description";
import { invariant } from "#runtime/errors";
import { blockTokens } from "#runtime/time-block";
import { chunkTokens } from "./chunks.ts";
import { type CutBatch, logProbCut, planCut } from "./cut-log-prob.ts";
import { judge, type LogProbTask, type Placed, padTargets, sumOf } from "./judge.ts";
import { integers, type LoadedModel } from "./session.ts";

/** What a worker is given at a time: requests padded alike, or cut requests that begin alike. */
export type LogProbBatch = PaddedBatch | CutBatch;

/** Requests that run in one call: all padded to the same number of tokens. */
export interface PaddedBatch {
  readonly kind: "padded";
  readonly paddedTokens: number;
  /** Tokens that run at a time. Fewer than `paddedTokens` only where one request is alone. */
  readonly chunk: number;
  readonly requests: readonly Placed[];
}

/**
 * Most padded tokens in one call, unless one request alone has more. Small on purpose: on a CPU larger
 * batches are no faster per row, take more memory, and let less of a call spread over the workers.
 */
const batchTokensMax = 512;

/**
 * Group requests into batches. A request's padding follows from its own length alone (the next whole
 * block), never from its neighbours: that is what keeps its result the same bits in any company.
 */
export function planBatches(
  decoder: Pick<Decoder, "headCount" | "vocabularySize">,
  requests: readonly LogProbTask[],
): LogProbBatch[] {
  const all = requests.map((request, position) => ({ request, position }));
  const [cut, whole] = [all.filter(isCut), all.filter((placed) => !isCut(placed))];
  return [...planPadded(decoder, whole), ...planCut(cut)];
}

function isCut({ request: { cuts = [] } }: Placed): boolean {
  return cuts.length > 0;
}

function planPadded(
  decoder: Pick<Decoder, "headCount" | "vocabularySize">,
  requests: readonly Placed[],
): PaddedBatch[] {
  const placed = requests.map(({ request, position }) => {
    const tokens = inputTokens(request);
    const chunk = chunkTokens(decoder, tokens, request.answerTokenIds.length);
    return { position, request, paddedTokens: blockTokens(tokens), chunk };
  });
  const groups = Map.groupBy(placed, ({ paddedTokens, chunk }) => `${paddedTokens} ${chunk}`);
  return [...groups.values()].flatMap((members) => {
    const { paddedTokens, chunk } = members[0]!;
    const perBatch = chunk < paddedTokens ? 1 : Math.max(1, Math.floor(batchTokensMax / paddedTokens));
    const count = Math.ceil(members.length / perBatch);
    return Array.from({ length: count }, (_, index) => ({
      kind: "padded" as const,
      paddedTokens,
      chunk,
      requests: members.slice(index * perBatch, (index + 1) * perBatch),
    }));
  });
}

/**
 * log p(answer | prompt) of each request of a batch, in nats: the sum over the answer's tokens, in order.
 * @throws NotFiniteError if the model gives no number.
 */
export async function logProbBatch(model: LoadedModel, batch: LogProbBatch): Promise<number[]> {
  return batch.kind === "cut" ? logProbCut(model, batch) : logProbPadded(model, batch);
}

async function logProbPadded(model: LoadedModel, batch: PaddedBatch): Promise<number[]> {
  const [first] = batch.requests;
  if (first && batch.chunk < batch.paddedTokens) {
    return [await judge(model, first.request, { chunk: batch.chunk })];
  }
  const tokenIds: number[] = [];
  const targetRows: number[] = [];
  const targetIds: number[] = [];
  batch.requests.forEach(({ request }, index) => {
    const sequence = [...request.promptTokenIds, ...request.answerTokenIds].slice(0, -1);
    const firstRow = index * batch.paddedTokens + request.promptTokenIds.length - 1;
    tokenIds.push(...sequence, ...new Array<number>(batch.paddedTokens - sequence.length).fill(0));
    request.answerTokenIds.forEach((tokenId, offset) => {
      targetRows.push(firstRow + offset);
      targetIds.push(tokenId);
    });
  });
  padTargets(targetRows, targetIds);
  const run = await model.session("logProb");
  const { logProbs } = await run({
    ...model.adapterFeeds(
      "sequences",
      batch.requests.map(({ request }) => request.adapter ?? null),
    ),
    tokenIds: integers(tokenIds, [batch.requests.length, batch.paddedTokens]),
    targetRows: integers(targetRows, [targetRows.length]),
    targetIds: integers(targetIds, [targetIds.length]),
  });
  invariant(logProbs?.length === targetRows.length, "one log-probability per target");
  let next = 0;
  return batch.requests.map(({ request }) => {
    const own = logProbs.subarray(next, next + request.answerTokenIds.length);
    next += own.length;
    return sumOf(own);
  });
}

/** Tokens the graph reads for a request: all but the last, which is only predicted. */
function inputTokens(request: LogProbTask): number {
  return request.promptTokenIds.length + request.answerTokenIds.length - 1;
}
