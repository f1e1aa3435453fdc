import { onchainTable, primaryKey } from "ponder";

/** OPEN of an account, from `Transfer`; the delegate of its votes; the votes delegated to it. Never deleted. */
export const tokenAccount = onchainTable("token_account", (t) => ({
  account: t.hex().primaryKey(),
  balance: t.bigint().notNull(),
  delegate: t.hex(),
  votes: t.bigint().notNull(),
}));

/** OPEN that exists, and what its chain's coins were turned into and back, where it wraps them. One row, id = address. */
export const tokenSupply = onchainTable("token_supply", (t) => ({
  id: t.hex().primaryKey(),
  supply: t.bigint().notNull(),
  deposited: t.bigint().notNull(),
  withdrawn: t.bigint().notNull(),
}));

/** Allowance last set by `Approval`; what was spent of it since stands in no event. */
export const tokenApproval = onchainTable(
  "token_approval",
  (t) => ({
    token: t.hex().notNull(),
    owner: t.hex().notNull(),
    spender: t.hex().notNull(),
    value: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.token, table.owner, table.spender] }) }),
);

/** One row per nonce of ERC-3009 that is used up. */
export const tokenAuthorization = onchainTable(
  "token_authorization",
  (t) => ({
    authorizer: t.hex().notNull(),
    nonce: t.hex().notNull(),
    /** Else it was used. */
    isCanceled: t.boolean().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.authorizer, table.nonce] }) }),
);
