import { index, onchainTable, primaryKey } from "ponder";

/** One row per `ModelProposed`. */
export const modelProposal = onchainTable(
  "model_proposal",
  (t) => ({
    id: t.bigint().primaryKey(),
    proposer: t.hex().notNull(),
    /** The whole specification as in the event; integers as decimal strings. */
    spec: t.json().notNull(),
    bond: t.bigint().notNull(),
    voteEnd: t.bigint().notNull(),
    /** 1 Voting, 2 Accepted, 3 Rejected, 4 Lapsed, 5 Deployed. */
    state: t.integer().notNull(),
    forW: t.bigint().notNull(),
    againstW: t.bigint().notNull(),
    burned: t.bigint().notNull(),
    modelId: t.hex(),
    curve: t.hex(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byProposer: index().on(table.proposer) }),
);

/** One row per `ModelProposalVote`. */
export const modelProposalVote = onchainTable(
  "model_proposal_vote",
  (t) => ({
    proposalId: t.bigint().notNull(),
    voter: t.hex().notNull(),
    support: t.boolean().notNull(),
    weight: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.proposalId, table.voter] }) }),
);

/** One row per `ModelReported`. */
export const modelReport = onchainTable(
  "model_report",
  (t) => ({
    id: t.bigint().primaryKey(),
    modelId: t.hex().notNull(),
    reporter: t.hex().notNull(),
    evidenceHash: t.hex().notNull(),
    evidence: t.hex().notNull(),
    rulingEnd: t.bigint().notNull(),
    /** 1 Open, 2 Upheld, 3 Rejected, 4 Expired. */
    state: t.integer().notNull(),
    burned: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ byModel: index().on(table.modelId) }),
);

/** One row per `ModelPenalised`. */
export const modelPenalty = onchainTable(
  "model_penalty",
  (t) => ({
    reportId: t.bigint().notNull(),
    account: t.hex().notNull(),
    modelId: t.hex().notNull(),
    slashed: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.reportId, table.account] }) }),
);

/** Bonds of proposals and reports that can be withdrawn. */
export const proposalBondCredit = onchainTable("proposal_bond_credit", (t) => ({
  account: t.hex().primaryKey(),
  credit: t.bigint().notNull(),
}));

/** One row per `CurveCreated`, with the curve's sums. */
export const curve = onchainTable("curve", (t) => ({
  address: t.hex().primaryKey(),
  modelId: t.hex().notNull(),
  beneficiary: t.hex().notNull(),
  reserveToken: t.hex().notNull(),
  baseWei: t.bigint().notNull(),
  slopeWei: t.bigint().notNull(),
  capTokens: t.bigint().notNull(),
  feeBps: t.integer().notNull(),
  supply: t.bigint().notNull(),
  reserve: t.bigint().notNull(),
  /** Not yet collected. */
  fees: t.bigint().notNull(),
  eventId: t.text().notNull(),
}));

/** One row per `Bought` and `Sold`. */
export const curveTrade = onchainTable(
  "curve_trade",
  (t) => ({
    eventId: t.text().primaryKey(),
    curve: t.hex().notNull(),
    isBuy: t.boolean().notNull(),
    trader: t.hex().notNull(),
    recipient: t.hex().notNull(),
    amount: t.bigint().notNull(),
    /** Cost of a buy, proceeds of a sale, in wei of the reserve token. */
    price: t.bigint().notNull(),
    fee: t.bigint().notNull(),
    blockNumber: t.bigint().notNull(),
  }),
  (table) => ({ byCurve: index().on(table.curve) }),
);

/** Tokens of a curve that an account holds. */
export const curveBalance = onchainTable(
  "curve_balance",
  (t) => ({ curve: t.hex().notNull(), account: t.hex().notNull(), balance: t.bigint().notNull() }),
  (table) => ({ pk: primaryKey({ columns: [table.curve, table.account] }) }),
);
