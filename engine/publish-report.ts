import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { Hex } from "viem";
import { ignoreNotice } from "#schema/database";
import { migrate } from "#schema/migrate";
import { faithfulness } from "#schema/offchain/40-engine";
import type { Report } from "./faithfulness/report.ts";

/** Write a report's rows, in place of those that stand there for its model and engine version. */
export async function publishReport(databaseUrl: string, report: Report): Promise<void> {
  await migrate(databaseUrl);
  const client = postgres(databaseUrl, { fetch_types: false, max: 1, onnotice: ignoreNotice });
  try {
    const { engineVersion, figures } = report;
    const artifactHash = report.artifactHash as Hex;
    await drizzle(client).transaction(async (tx) => {
      await tx
        .delete(faithfulness)
        .where(
          sql`${faithfulness.artifactHash} = ${artifactHash} and ${faithfulness.engineVersion} = ${engineVersion}`,
        );
      await tx
        .insert(faithfulness)
        .values(figures.map((figure) => ({ artifactHash, engineVersion, ...figure })));
    });
  } finally {
    await client.end();
  }
}
