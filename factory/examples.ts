import { type Example, promptedExample, type Tokenizer } from "#runtime/index";
import type { SnapshotRecord } from "#schema/snapshot";
import { examplesOf } from "#settlement/blob/training/examples";

/** What is learned and what is held out, as tokens. */
export type Lessons = { train: Example[]; gate: Example[] };

/**
 * Examples of records as tokens; only the answers' tokens are learned. One that is longer than a row is left out: a record
 * all of whose examples are teaches nothing, and earns nothing. Pure.
 */
export function examplesFor(
  records: readonly Pick<SnapshotRecord, "source" | "text">[],
  tokenizer: Pick<Tokenizer, "encode">,
  tokensMax: number,
): Example[] {
  return records
    .flatMap(examplesOf)
    .map(({ question, answer }) => promptedExample(tokenizer, { passages: [], question }, answer))
    .filter(({ tokenIds }) => tokenIds.length <= tokensMax);
}
