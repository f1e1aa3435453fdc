/**
 * Tables that Ponder owns: rebuilt from the chain, never migrated. In the order of the chain of work.
 * Solidity's uint32 is `int8` here: anyone can post one that `integer` does not hold. Readers import `#schema/bind`.
 */
export * from "./10-events.ts";
export * from "./20-datanets.ts";
export * from "./30-models.ts";
export * from "./40-payments.ts";
export * from "./50-epochs.ts";
export * from "./60-rewards.ts";
export * from "./70-token.ts";
export * from "./80-market.ts";
export * from "./90-governance.ts";
