import type { Decoder } from "#runtime/decoder/description";
import { invariant, NotFiniteError } from "#runtime/errors";
import type { SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import { blockTokens } from "#runtime/time-block";
import { chunkTokens } from "./chunks.ts";
import { extend } from "./forward.ts";
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
  /** Tokens that run at a time. Fewer than `paddedTokens` only where one request is alone. */
  readonly chunk: number;
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
export function planBatches(
  decoder: Pick<Decoder, "headCount" | "vocabularySize">,
  requests: readonly LogProbTask[],
): LogProbBatch[] {
  const placed = requests.map((request, position) => {
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
  const [first] = batch.requests;
  if (first && batch.chunk < batch.paddedTokens) {
    return [await logProbInChunks(model, first.request, batch.chunk)];
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

/** The same of one request that is too long for one run. */
async function logProbInChunks(model: LoadedModel, request: LogProbTask, chunk: number): Promise<number> {
  const { promptTokenIds, answerTokenIds, adapter = null } = request;
  const tokenIds = [...promptTokenIds, ...answerTokenIds].slice(0, -1);
  const firstRow = promptTokenIds.length - 1;
  const found: number[] = [];
  await extend(model, "extendLogProb", adapter, { tokenIds, chunk }, ({ from, length }) => {
    const targetRows: number[] = [];
    const targetIds: number[] = [];
    for (let row = Math.max(from, firstRow); row < from + length; row++) {
      targetRows.push(row - from);
      targetIds.push(answerTokenIds[row - firstRow]!);
    }
    const count = targetRows.length;
    padTargets(targetRows, targetIds);
    const shape = [targetRows.length];
    return {
      inputs: { targetRows: integers(targetRows, shape), targetIds: integers(targetIds, shape) },
      read: ({ logProbs }) => {
        invariant(logProbs?.length === targetRows.length, "one log-probability per target");
        for (const logProb of logProbs.subarray(0, count)) found.push(logProb);
      },
    };
  });
  return sumOf(found);
}

/** Give the output layer its fewest rows; what they say is not read. */
function padTargets(targetRows: number[], targetIds: number[]): void {
  while (targetRows.length < targetRowsMin) {
    targetRows.push(0);
    targetIds.push(0);
  }
}

/** In order, in float64. @throws NotFiniteError */
function sumOf(logProbs: Iterable<number>): number {
  let sum = 0;
  for (const logProb of logProbs) sum += logProb;
  if (!Number.isFinite(sum)) throw new NotFiniteError("log-probability");
  return sum;
}

/** Tokens the graph reads for a request: all but the last, which is only predicted. */
function inputTokens(request: LogProbTask): number {
  return request.promptTokenIds.length + request.answerTokenIds.length - 1;
}
