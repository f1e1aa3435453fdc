import { index, onchainTable, primaryKey } from "ponder";

/** One row per `DatanetDaoCreated`. It governs once it owns its Datanet. */
export const datanetDao = onchainTable(
  "datanet_dao",
  (t) => ({
    address: t.hex().primaryKey(),
    datanetId: t.bigint().notNull(),
    votingDelayBlocks: t.bigint().notNull(),
    votingPeriodBlocks: t.bigint().notNull(),
    quorumBps: t.integer().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byDatanet: index().on(table.datanetId) }),
);

/** Proposals of the Governor and of the DAOs; ids are the governor's own. */
export const proposal = onchainTable(
  "proposal",
  (t) => ({
    governor: t.hex().notNull(),
    id: t.bigint().notNull(),
    proposer: t.hex().notNull(),
    /** {targets, values, calldatas}; integers as decimal strings. */
    actions: t.json().notNull(),
    /** By the governor's clock: seconds for the Governor, blocks for a DAO. */
    voteStart: t.bigint().notNull(),
    voteEnd: t.bigint().notNull(),
    description: t.text().notNull(),
    againstVotes: t.bigint().notNull(),
    forVotes: t.bigint().notNull(),
    abstainVotes: t.bigint().notNull(),
    /** Unix second from which a queued proposal may be executed. */
    etaSeconds: t.bigint(),
    isExecuted: t.boolean().notNull(),
    isCanceled: t.boolean().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.governor, table.id] }) }),
);

/** One row per vote. */
export const proposalVote = onchainTable(
  "proposal_vote",
  (t) => ({
    governor: t.hex().notNull(),
    proposalId: t.bigint().notNull(),
    voter: t.hex().notNull(),
    /** 0 against, 1 for, 2 abstain. */
    support: t.integer().notNull(),
    weight: t.bigint().notNull(),
    reason: t.text().notNull(),
    params: t.hex(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.governor, table.proposalId, table.voter] }) }),
);

/** A value that governance sets, as its newest event says, by contract and name of the setting. */
export const setting = onchainTable(
  "setting",
  (t) => ({
    contract: t.text().notNull(),
    name: t.text().notNull(),
    value: t.text().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.contract, table.name] }) }),
);

/** Calls the Timelock has scheduled; an operation, by `callId`, may have several. */
export const timelockCall = onchainTable(
  "timelock_call",
  (t) => ({
    callId: t.hex().notNull(),
    index: t.bigint().notNull(),
    target: t.hex().notNull(),
    value: t.bigint().notNull(),
    data: t.hex().notNull(),
    predecessor: t.hex().notNull(),
    /** Unix second from which it may be executed. */
    readyAt: t.bigint().notNull(),
    isExecuted: t.boolean().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.callId, table.index] }) }),
);

/** What is said of a Timelock operation as a whole. */
export const timelockOperation = onchainTable("timelock_operation", (t) => ({
  id: t.hex().primaryKey(),
  salt: t.hex(),
  isCancelled: t.boolean().notNull(),
}));

/** Who holds which role. `contract` is "permissions" or "timelock"; roles of the first are numbers in decimal. */
export const roleMember = onchainTable(
  "role_member",
  (t) => ({
    contract: t.text().notNull(),
    role: t.text().notNull(),
    account: t.hex().notNull(),
    isMember: t.boolean().notNull(),
    /** Of the permissions: execution delay in seconds, and since when, in unix seconds. */
    delaySeconds: t.bigint(),
    since: t.bigint(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.contract, table.role, table.account] }) }),
);

/** Which role may call which function. */
export const functionRole = onchainTable(
  "function_role",
  (t) => ({
    target: t.hex().notNull(),
    selector: t.hex().notNull(),
    role: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.target, table.selector] }) }),
);

/** Operations that the permissions delay. */
export const delayedOperation = onchainTable(
  "delayed_operation",
  (t) => ({
    id: t.hex().notNull(),
    nonce: t.int8({ mode: "number" }).notNull(),
    /** Unix second from which it may be executed. */
    schedule: t.bigint().notNull(),
    caller: t.hex().notNull(),
    target: t.hex().notNull(),
    data: t.hex().notNull(),
    /** "scheduled", "executed" or "canceled". */
    state: t.text().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.id, table.nonce] }) }),
);
