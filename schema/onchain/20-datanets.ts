import { index, onchainTable, primaryKey } from "ponder";

/** One row per `DatanetCreated`. */
export const datanet = onchainTable("datanet", (t) => ({
  id: t.bigint().primaryKey(),
  owner: t.hex().notNull(),
  metadataHash: t.hex().notNull(),
  metadataUri: t.text().notNull(),
  minContributorStake: t.bigint().notNull(),
  minValidatorStake: t.bigint().notNull(),
  votingPeriodSeconds: t.bigint().notNull(),
  quorumBps: t.integer().notNull(),
  slashBps: t.integer().notNull(),
  ownerBps: t.integer().notNull(),
  validatorBps: t.integer().notNull(),
  eventId: t.text().notNull(),
  blockNumber: t.bigint().notNull(),
  txHash: t.hex().notNull(),
}));

/** Stake of an account in a scope, from StakeVault's post-state events. */
export const stake = onchainTable(
  "stake",
  (t) => ({
    scope: t.hex().notNull(),
    account: t.hex().notNull(),
    amount: t.bigint().notNull(),
    unlockAt: t.bigint().notNull(),
    locks: t.int8({ mode: "number" }).notNull(),
    slashed: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.scope, table.account] }) }),
);

/** One row per `ContributionSubmitted`; state from votes, resolution and retraction. */
export const contribution = onchainTable(
  "contribution",
  (t) => ({
    id: t.bigint().primaryKey(),
    datanetId: t.bigint().notNull(),
    contributor: t.hex().notNull(),
    dataRoot: t.hex().notNull(),
    items: t.int8({ mode: "number" }).notNull(),
    contentHash: t.hex().notNull(),
    licenseHash: t.hex().notNull(),
    daCommitment: t.hex().notNull(),
    voteEnd: t.bigint().notNull(),
    snapshotVotable: t.bigint().notNull(),
    /** 1 Pending, 2 Accepted, 3 Rejected, 4 Lapsed, 5 Retracted. */
    state: t.integer().notNull(),
    forW: t.bigint().notNull(),
    againstW: t.bigint().notNull(),
    submittedBlock: t.bigint().notNull(),
    submittedTx: t.hex().notNull(),
    resolvedBlock: t.bigint(),
    resolvedTx: t.hex(),
    retractedBlock: t.bigint(),
    retractedTx: t.hex(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byDatanet: index().on(table.datanetId), byContributor: index().on(table.contributor) }),
);

/** One row per `ValidationVote`. */
export const validationVote = onchainTable(
  "validation_vote",
  (t) => ({
    contributionId: t.bigint().notNull(),
    validator: t.hex().notNull(),
    support: t.boolean().notNull(),
    quality: t.integer().notNull(),
    weight: t.bigint().notNull(),
    blockNumber: t.bigint().notNull(),
    txHash: t.hex().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.contributionId, table.validator] }) }),
);
