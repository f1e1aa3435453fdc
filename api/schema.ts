import { builder } from "./builder.ts";
import "./types/attribution.ts";
import "./types/data.ts";
import "./types/epoch.ts";
import "./types/influence.ts";
import "./types/payout.ts";
import "./types/receipt.ts";
import "./types/reputation.ts";

/** The GraphQL schema; its text is committed as schema.graphql. */
export const schema = builder.toSchema();
