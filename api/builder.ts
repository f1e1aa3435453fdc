import SchemaBuilder from "@pothos/core";
import { GraphQLError } from "graphql";
import type { Hex } from "viem";
import type { Transaction } from "#schema/database";
import { pageSizeDefault, pageSizeMax } from "./limits.ts";
import { type RowLoaders, rowLoaders } from "./loaders/rows.ts";
import type { Page } from "./page.ts";
import type { Status } from "./status.ts";

/** What a resolver works with: one snapshot of the database per request. */
export type Context = { tx: Transaction; rows: RowLoaders; readStatus: () => Promise<Status> };

export function createContext(tx: Transaction, readStatus: () => Promise<Status>): Context {
  return { tx, rows: rowLoaders(tx), readStatus };
}

export const builder = new SchemaBuilder<{
  Context: Context;
  DefaultFieldNullability: false;
  Scalars: {
    Hex: { Input: Hex; Output: Hex };
    Wei: { Input: bigint; Output: bigint };
    BigInt: { Input: bigint; Output: bigint };
  };
}>({ defaultFieldNullability: false });

builder.scalarType("Hex", {
  description: "Bytes as 0x and lowercase hex digits.",
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value === "string" && /^0x[0-9a-fA-F]*$/.test(value)) return value.toLowerCase() as Hex;
    throw new GraphQLError(`Not hex: ${String(value)}.`);
  },
});

builder.scalarType("Wei", {
  description: "Amount of OPEN in wei, 18 decimals, as a decimal string. Never a float.",
  serialize: (value) => value.toString(),
});

builder.scalarType("BigInt", {
  description: "Integer of any size as a decimal string.",
  serialize: (value) => value.toString(),
  parseValue: (value) => {
    if (/^-?\d{1,78}$/.test(String(value))) return BigInt(String(value));
    throw new GraphQLError(`Not an integer: ${String(value)}.`);
  },
});

builder.queryType({ description: "Read-only; each request sees one snapshot of the database." });

export const pageArgs = builder.args((t) => ({
  first: t.int({ description: `Page size, 1 to ${pageSizeMax}; ${pageSizeDefault} if not given.` }),
  after: t.string({ description: "endCursor of the page before." }),
}));

/** The type of a page over `node`. */
export function pageType<T>(name: string, node: ReturnType<typeof builder.objectRef<T>>) {
  return builder.objectRef<Page<T>>(`${name}Page`).implement({
    fields: (t) => ({
      nodes: t.field({ type: [node], resolve: (page) => page.nodes as never }),
      endCursor: t.exposeString("endCursor", { nullable: true }),
      hasNextPage: t.exposeBoolean("hasNextPage"),
    }),
  });
}

/** A row that another row refers to. Its absence is a bug of the indexer, and worth an error that names it. */
export function found<T>(row: T | undefined, what: string): T {
  if (row !== undefined) return row;
  throw new GraphQLError(`${what} is not in the database yet.`, { extensions: { code: "NOT_INDEXED" } });
}
