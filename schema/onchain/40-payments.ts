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

/** What a receiver has drawn from the escrow, from `Settled`. */
export const receiverSettled = onchainTable(
  "receiver_settled",
  (t) => ({
    receiver: t.hex().notNull(),
    token: t.hex().notNull(),
    settled: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.receiver, table.token] }) }),
);

/** One row per receipt and fault; a later challenge of the same takes the row. */
export const receiptChallenge = onchainTable(
  "receipt_challenge",
  (t) => ({
    receiptHash: t.hex().notNull(),
    node: t.hex().notNull(),
    challenger: t.hex().notNull(),
    requestId: t.hex().notNull(),
    fault: t.integer().notNull(),
    /** Unix second until which the node may answer; 0 where the fault is proven at once. */
    answerEnd: t.bigint().notNull(),
    evidenceHash: t.hex().notNull(),
    /** Null while open. */
    isUpheld: t.boolean(),
    slashed: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.receiptHash, table.fault] }),
    byNode: index().on(table.node),
  }),
);

/** Until when hub and ledger take nothing new, in unix seconds; 0 where they do. */
export const intake = onchainTable("intake", (t) => ({
  contract: t.text().primaryKey(),
  pausedUntil: t.bigint().notNull(),
}));
