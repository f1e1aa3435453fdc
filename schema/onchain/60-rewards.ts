import { index, onchainTable } from "ponder";

/** The distributor's aggregates; one row, id = contract address. */
export const distributor = onchainTable("distributor", (t) => ({
  id: t.hex().primaryKey(),
  epoch: t.bigint().notNull(),
  root: t.hex().notNull(),
  rootTotal: t.bigint().notNull(),
  totalFunded: t.bigint().notNull(),
  totalClaimed: t.bigint().notNull(),
}));

/** Cumulative amount claimed per account, and its claimer if one is set. */
export const rewardAccount = onchainTable("reward_account", (t) => ({
  account: t.hex().primaryKey(),
  claimed: t.bigint().notNull(),
  claimer: t.hex(),
}));

/** One row per `Claimed`. */
export const claim = onchainTable(
  "claim",
  (t) => ({
    eventId: t.text().primaryKey(),
    account: t.hex().notNull(),
    epochId: t.bigint().notNull(),
    recipient: t.hex().notNull(),
    amount: t.bigint().notNull(),
    cumulative: t.bigint().notNull(),
    blockNumber: t.bigint().notNull(),
    txHash: t.hex().notNull(),
    logIndex: t.integer().notNull(),
  }),
  (table) => ({ byAccount: index().on(table.account), byTx: index().on(table.txHash) }),
);
