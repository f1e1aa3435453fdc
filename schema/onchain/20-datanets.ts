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
  /** 0 open, 1 closed to new batches. */
  status: t.integer().notNull(),
  eventId: t.text().notNull(),
  blockNumber: t.bigint().notNull(),
  txHash: t.hex().notNull(),
}));

/** Who owned a Datanet from an event on: its creation, each transfer. Event ids sort as the chain does. */
export const datanetOwner = onchainTable(
  "datanet_owner",
  (t) => ({
    datanetId: t.bigint().notNull(),
    eventId: t.text().notNull(),
    owner: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.datanetId, table.eventId] }) }),
);

/** Which rules batches submitted from an event on must follow. */
export const datanetRules = onchainTable(
  "datanet_rules",
  (t) => ({
    datanetId: t.bigint().notNull(),
    version: t.int8({ mode: "number" }).notNull(),
    formatHash: t.hex().notNull(),
    validationRuleHash: t.hex().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.datanetId, table.version] }) }),
);

/** What a Datanet's chunks earned in an epoch, as the poster recorded it. */
export const datanetUsage = onchainTable(
  "datanet_usage",
  (t) => ({
    epochId: t.bigint().notNull(),
    datanetId: t.bigint().notNull(),
    usageRoot: t.hex().notNull(),
    amount: t.bigint().notNull(),
    blockNumber: t.bigint().notNull(),
    txHash: t.hex().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.epochId, table.datanetId] }),
    byDatanet: index().on(table.datanetId),
  }),
);

/** One row per `AccessRequested`, with what became of it. */
export const accessRequest = onchainTable(
  "access_request",
  (t) => ({
    id: t.bigint().primaryKey(),
    datanetId: t.bigint().notNull(),
    account: t.hex().notNull(),
    purposeHash: t.hex().notNull(),
    purpose: t.text().notNull(),
    /** 1 requested, 2 granted, 3 refused or revoked. */
    state: t.integer().notNull(),
    /** Unix second at which a grant ends; null where none was made. */
    expiresAt: t.bigint(),
    wrappedKey: t.hex(),
    refusalReason: t.hex(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byDatanet: index().on(table.datanetId), byAccount: index().on(table.account) }),
);

/** Until when an account may use a Datanet's data, in unix seconds; 0 after a revocation. */
export const datanetAccess = onchainTable(
  "datanet_access",
  (t) => ({
    datanetId: t.bigint().notNull(),
    account: t.hex().notNull(),
    accessUntil: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.datanetId, table.account] }) }),
);

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
    /** Mean of the votes' quality by weight; null where nobody voted, or not yet resolved. */
    quality: t.integer(),
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
