import { index, onchainTable } from "ponder";

/**
 * Every event of our contracts, append-only, keyed by Ponder's 75-character event id (sorts by time, block, log).
 * Consumers read this table behind a cursor, up to the final block. Written by every handler, first thing.
 */
export const event = onchainTable(
  "event",
  (t) => ({
    id: t.text().primaryKey(),
    contract: t.text().notNull(),
    name: t.text().notNull(),
    /** Arguments as JSON; integers as decimal strings. */
    args: t.json().notNull(),
    blockNumber: t.bigint().notNull(),
    blockHash: t.hex().notNull(),
    blockTimestamp: t.bigint().notNull(),
    txHash: t.hex().notNull(),
    logIndex: t.integer().notNull(),
    address: t.hex().notNull(),
  }),
  (table) => ({ byName: index().on(table.contract, table.name), byBlock: index().on(table.blockNumber) }),
);
