import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as applyMigrations } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { ignoreNotice } from "./database.ts";

const migrationsFolder = fileURLToPath(new URL("../migrations", import.meta.url));
/** Any number that nothing else in this database locks. */
const migrationLock = 7_461_274;

/**
 * Brings the offchain tables to the newest migration; does nothing where they are. Safe to call from several
 * processes at once: one migrates, the others wait. Each migration is applied whole or not at all.
 */
export async function migrate(databaseUrl: string): Promise<void> {
  const sql = postgres(databaseUrl, {
    fetch_types: false,
    max: 1,
    onnotice: ignoreNotice,
    connection: { application_name: "migrate" },
  });
  try {
    // On the one connection, so that the lock is held until it closes, also by a crash.
    await sql`select pg_advisory_lock(${migrationLock})`;
    await applyMigrations(drizzle(sql), {
      migrationsFolder,
      migrationsSchema: "drizzle",
      migrationsTable: "__tributary_migrations",
    });
  } finally {
    await sql.end();
  }
}
