/** Tables that Ponder owns: rebuilt from the chain, never migrated. In the order of the chain of work. */
export * from "./10-events.ts";
export * from "./20-datanets.ts";
export * from "./30-models.ts";
export * from "./40-payments.ts";
export * from "./50-epochs.ts";
export * from "./60-rewards.ts";
