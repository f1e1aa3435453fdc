import { index, onchainTable, primaryKey } from "ponder";

/** Payment channel, from ChannelEscrow's post-state events. */
export const channel = onchainTable(
  "channel",
  (t) => ({
    id: t.hex().primaryKey(),
    payer: t.hex().notNull(),
    payerAuthorizer: t.hex().notNull(),
    receiver: t.hex().notNull(),
    receiverAuthorizer: t.hex().notNull(),
    token: t.hex().notNull(),
    withdrawDelay: t.bigint().notNull(),
    salt: t.hex().notNull(),
    balance: t.bigint().notNull(),
    totalClaimed: t.bigint().notNull(),
    withdrawAmount: t.bigint().notNull(),
    withdrawFinalizeAfter: t.bigint().notNull(),
    createdBlock: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byPayer: index().on(table.payer) }),
);

/** One row per `BatchSettled`: a batch of receipts. */
export const batch = onchainTable(
  "batch",
  (t) => ({
    id: t.bigint().primaryKey(),
    receiptsRoot: t.hex().notNull(),
    node: t.hex().notNull(),
    calls: t.int8({ mode: "number" }).notNull(),
    total: t.bigint().notNull(),
    nodeShare: t.bigint().notNull(),
    poolShare: t.bigint().notNull(),
    treasuryShare: t.bigint().notNull(),
    contentHash: t.hex().notNull(),
    daCommitment: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
    blockTimestamp: t.bigint().notNull(),
    logIndex: t.integer().notNull(),
    txHash: t.hex().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byRoot: index().on(table.receiptsRoot) }),
);

/** One row per `ModelUsage`. */
export const modelUsage = onchainTable(
  "model_usage",
  (t) => ({
    batchId: t.bigint().notNull(),
    modelId: t.hex().notNull(),
    amount: t.bigint().notNull(),
    calls: t.int8({ mode: "number" }).notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.batchId, table.modelId] }) }),
);

/** What a node may draw, from `NodeCredited` and `NodePaid`. */
export const nodeCredit = onchainTable("node_credit", (t) => ({
  node: t.hex().primaryKey(),
  credit: t.bigint().notNull(),
  credited: t.bigint().notNull(),
  paid: t.bigint().notNull(),
}));
