import { index, onchainTable } from "ponder";

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
  /** Unix seconds: end of the challenge window while proposed, of the arbiter's time while disputed. */
  deadline: t.bigint().notNull(),
  /** 1 Proposed, 2 Disputed, 3 Rejected, 4 Finalized. */
  status: t.integer().notNull(),
  proposedBlock: t.bigint().notNull(),
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

/** One row per fault alleged or proven of an epoch: of the whole, of a leaf, or of its certificate. */
export const epochFault = onchainTable(
  "epoch_fault",
  (t) => ({
    eventId: t.text().primaryKey(),
    epochId: t.bigint().notNull(),
    /** "epoch", "leaf" or "certificate". */
    kind: t.text().notNull(),
    /** Who disputed or proved it. */
    account: t.hex().notNull(),
    /** Null where the certificate itself is the fault. */
    reason: t.integer(),
    evidenceHash: t.hex(),
    /** Of a leaf. */
    leafAccount: t.hex(),
    leafCumulative: t.bigint(),
  }),
  (table) => ({ byEpoch: index().on(table.epochId) }),
);

/** One row per `EpochResolved`. */
export const epochRuling = onchainTable(
  "epoch_ruling",
  (t) => ({
    eventId: t.text().primaryKey(),
    epochId: t.bigint().notNull(),
    isUpheld: t.boolean().notNull(),
    winner: t.hex().notNull(),
    paid: t.bigint().notNull(),
    burned: t.bigint().notNull(),
  }),
  (table) => ({ byEpoch: index().on(table.epochId) }),
);

/** What layer 1 said about a certificate. */
export const daCertVerdict = onchainTable("da_cert_verdict", (t) => ({
  daRef: t.hex().primaryKey(),
  /** 1 valid, 6 invalid. */
  status: t.integer().notNull(),
  l1Block: t.bigint().notNull(),
  eventId: t.text().notNull(),
}));
