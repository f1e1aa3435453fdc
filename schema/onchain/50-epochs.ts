import { onchainTable } from "ponder";

/** One row per epoch number; a rejected epoch is overwritten by its next proposal. */
export const epoch = onchainTable("epoch", (t) => ({
  id: t.bigint().primaryKey(),
  poster: t.hex().notNull(),
  rewardRoot: t.hex().notNull(),
  attributionRoot: t.hex().notNull(),
  receiptsAccumulator: t.hex().notNull(),
  prevRewardRoot: t.hex().notNull(),
  rootTotal: t.bigint().notNull(),
  fromBlock: t.bigint().notNull(),
  toBlock: t.bigint().notNull(),
  methodHash: t.hex().notNull(),
  contentHash: t.hex().notNull(),
  daRef: t.hex().notNull(),
  daCommitment: t.hex().notNull(),
  challengeEnd: t.bigint().notNull(),
  /** 1 Proposed, 2 Disputed, 3 Rejected, 4 Finalized. */
  status: t.integer().notNull(),
  proposedBlock: t.bigint().notNull(),
  /** Length of the challenge window, from the proposal's time to its `challengeEnd`. */
  challengeWindowSeconds: t.bigint().notNull(),
  proposedTx: t.hex().notNull(),
  finalizedBlock: t.bigint(),
  finalizedTx: t.hex(),
  eventId: t.text().notNull(),
}));

/** Bonds that can be withdrawn, from `BondCredited`, `BondDebited` and `BondWithdrawn`. */
export const bondCredit = onchainTable("bond_credit", (t) => ({
  account: t.hex().primaryKey(),
  credit: t.bigint().notNull(),
}));
