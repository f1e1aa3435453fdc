import { defineConfig } from "drizzle-kit";

/** Generates migrations/ for the offchain tables. The journal lives in its own schema, which no migration creates. */
export default defineConfig({
  dialect: "postgresql",
  schema: "./schema/offchain/index.ts",
  out: "./migrations",
  schemaFilter: ["serving", "engine", "settlement"],
  migrations: { schema: "drizzle", table: "__tributary_migrations" },
});
