/** Ponder wants the tables in its root; they live where every stage reads them. */
export * from "../schema/onchain/index.ts";
