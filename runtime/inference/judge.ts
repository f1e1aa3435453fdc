import { invariant, NotFiniteError } from "#runtime/errors";
import type { SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import { extend, type Sequence } from "./forward.ts";
import { integers, type LoadedModel } from "./session.ts";

/** One answer to judge under one prompt. Both have at least one token. */
export interface LogProbTask {
  readonly promptTokenIds: readonly number[];
  readonly answerTokenIds: readonly number[];
  /** What it is judged by; null, the default, is the base model. */
  readonly adapter?: SharedAdapter | null;
  /** Where the prompt is cut; see `LogProbRequest`. */
  readonly cuts?: readonly number[];
}

/** A request, and where its result belongs. */
export interface Placed {
  readonly position: number;
  readonly request: LogProbTask;
}

/** Fewest rows the output layer gets: with one row another matrix kernel could be chosen. */
const targetRowsMin = 2;

/** What follows a known beginning of a prompt, judged to the end of its answer. */
export async function judge(
  model: LoadedModel,
  { promptTokenIds, answerTokenIds, adapter = null }: LogProbTask,
  way: Omit<Sequence, "tokenIds">,
): Promise<number> {
  const tokenIds = [...promptTokenIds, ...answerTokenIds].slice(0, -1);
  const firstRow = promptTokenIds.length - 1;
  const found: number[] = [];
  await extend(
    model,
    "extendLogProb",
    adapter,
    { tokenIds, isCacheWanted: false, ...way },
    ({ from, length }) => {
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
    },
  );
  return sumOf(found);
}

/** Give the output layer its fewest rows; what they say is not read. */
export function padTargets(targetRows: number[], targetIds: number[]): void {
  while (targetRows.length < targetRowsMin) {
    targetRows.push(0);
    targetIds.push(0);
  }
}

/** In order, in float64. @throws NotFiniteError */
export function sumOf(logProbs: Iterable<number>): number {
  let sum = 0;
  for (const logProb of logProbs) sum += logProb;
  if (!Number.isFinite(sum)) throw new NotFiniteError("log-probability");
  return sum;
}
