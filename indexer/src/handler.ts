import type { EventNames, IndexingFunctionArgs } from "ponder:registry";

/** What an `apply…` function gets: the decoded event and the writer of Ponder's tables. */
export type Args<N extends EventNames> = IndexingFunctionArgs<N>;
