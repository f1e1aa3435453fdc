import { PipelineError } from "#schema/errors";
import { migrate } from "#schema/migrate";
import { readConfig } from "./config.ts";

/** Brings the offchain tables of DATABASE_URL to the newest migration. Safe to repeat. */
export async function run(_args: string[]): Promise<number> {
  const { databaseUrl } = readConfig();
  if (databaseUrl === undefined) throw new DatabaseUrlMissingError();
  await migrate(databaseUrl);
  return 0;
}

export class DatabaseUrlMissingError extends PipelineError {
  override readonly name = "DatabaseUrlMissingError";
  constructor() {
    super("Set DATABASE_URL. (`npm start` migrates the embedded database by itself.)", {
      code: "database_url_missing",
      retryable: false,
    });
  }
}
