import { GraphQLError } from "graphql";
import { pageSizeDefault, pageSizeMax } from "./limits.ts";

/** One page: its rows, the cursor of the last, and whether more follow. */
export type Page<T> = { nodes: T[]; endCursor: string | null; hasNextPage: boolean };
export type PageArgs = { first?: number | null | undefined; after?: string | null | undefined };

/** Page size asked for. @throws GraphQLError naming the limit. */
export function sizeOf({ first }: PageArgs): number {
  const size = first ?? pageSizeDefault;
  if (size >= 1 && size <= pageSizeMax) return size;
  throw new GraphQLError(`first must be 1 to ${pageSizeMax}. Given: ${size}.`, {
    extensions: { code: "PAGE_SIZE" },
  });
}

/** Cut a page from rows that were queried with `limit` of one more than its size. */
export function pageOf<T>(rows: T[], args: PageArgs, cursorOf: (row: T) => string): Page<T> {
  const nodes = rows.slice(0, sizeOf(args));
  const last = nodes.at(-1);
  return {
    nodes,
    endCursor: last === undefined ? null : cursorOf(last),
    hasNextPage: rows.length > nodes.length,
  };
}
