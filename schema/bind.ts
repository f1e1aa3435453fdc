import { is, Table } from "drizzle-orm";
import * as tables from "./onchain/index.ts";

/** Views that Ponder points at the tables of the deployment that has caught up. Readers know no other name. */
export const viewsSchema = "onchain";

/**
 * The onchain tables for readers. Ponder builds them without a schema and binds them to its own in its process; here
 * they are bound, once and in place, to the views. Import this (or `#schema/database`) in every process but Ponder's.
 */
export const onchain = bind(tables);

function bind<T extends Record<string, unknown>>(unbound: T): T {
  for (const table of Object.values(unbound)) {
    // drizzle keeps the name under this registered symbol; its typed name is internal.
    if (is(table, Table)) Object.assign(table, { [Symbol.for("drizzle:Schema")]: viewsSchema });
  }
  return unbound;
}
