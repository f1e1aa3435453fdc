import { invariant, NotFiniteError } from "#runtime/errors";
import type { SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import { blockTokens } from "#runtime/time-block";
import { integers, type LoadedModel } from "./session.ts";

/** One answer to judge under one prompt. Both have at least one token. */
export interface LogProbTask {
  readonly promptTokenIds: readonly number[];
  readonly answerTokenIds: readonly number[];
  /** What it is judged by; null, the default, is the base model. */
  readonly adapter?: SharedAdapter | null;
}

/** Requests that run in one call: all padded to the same number of tokens. */
export interface LogProbBatch {
  readonly paddedTokens: number;
  readonly requests: readonly { readonly position: number; readonly request: LogProbTask }[];
}

/**
 * Most padded tokens in one call, unless one request alone has more. Small on purpose: on a CPU larger
 * batches are no faster per row, take more memory, and let less of a call spread over the workers.
 */
const batchTokensMax = 512;

/** Fewest rows the output layer gets: with one row another matrix kernel could be chosen. */
const targetRowsMin = 2;

/**
 * Group requests into batches. A request's padding follows from its own length alone (the next whole
 * block), never from its neighbours: that is what keeps its result the same bits in any company.
 */
export function planBatches(requests: readonly LogProbTask[]): LogProbBatch[] {
  const groups = new Map<number, { position: number; request: LogProbTask }[]>();
  requests.forEach((request, position) => {
    const paddedTokens = blockTokens(inputTokens(request));
    const group = groups.get(paddedTokens) ?? [];
    group.push({ position, request });
    groups.set(paddedTokens, group);
  });
  return [...groups].flatMap(([paddedTokens, members]) => {
    const perBatch = Math.max(1, Math.floor(batchTokensMax / paddedTokens));
    const count = Math.ceil(members.length / perBatch);
    return Array.from({ length: count }, (_, index) => ({
      paddedTokens,
      requests: members.slice(index * perBatch, (index + 1) * perBatch),
    }));
  });
}

/**
 * log p(answer | prompt) of each request of a batch, in nats: the sum over the answer's tokens, in order.
 * @throws NotFiniteError if the model gives no number.
 */
export async function logProbBatch(model: LoadedModel, batch: LogProbBatch): Promise<number[]> {
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
  while (targetRows.length < targetRowsMin) {
    targetRows.push(0);
    targetIds.push(0);
  }
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
    let sum = 0;
    for (const _ of request.answerTokenIds) sum += logProbs[next++] ?? Number.NaN;
    if (!Number.isFinite(sum)) throw new NotFiniteError("log-probability");
    return sum;
  });
}

/** Tokens the graph reads for a request: all but the last, which is only predicted. */
function inputTokens(request: LogProbTask): number {
  return request.promptTokenIds.length + request.answerTokenIds.length - 1;
}
