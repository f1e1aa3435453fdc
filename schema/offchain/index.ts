/** Tables that drizzle owns and `migrations/` creates. In the order of the chain of work. */
export * from "./30-serving.ts";
export * from "./40-engine.ts";
export * from "./50-settlement.ts";
