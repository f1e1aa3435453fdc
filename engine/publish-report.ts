import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { and, eq } from "drizzle-orm";
import type { Hex } from "viem";
import type { Drizzle } from "#schema/database";
import { faithfulness } from "#schema/offchain/40-engine";
import { type Report, reportSchema } from "./faithfulness/report.ts";
import { engineVersion } from "./method.ts";

/** Of the model this repository holds, written by `npm run bench -- faithfulness`. */
const shippedPath = join(import.meta.dirname, "../docs/faithfulness.json");

/** Write a report's rows, in place of those that stand there for its model and engine version. */
export async function publishReport(db: Drizzle, report: Report): Promise<void> {
  const { figures } = report;
  const [artifactHash, methodHash] = [report.artifactHash as Hex, report.methodHash as Hex];
  const key = { artifactHash, engineVersion: report.engineVersion };
  await db.transaction(async (tx) => {
    await tx
      .delete(faithfulness)
      .where(
        and(
          eq(faithfulness.artifactHash, key.artifactHash),
          eq(faithfulness.engineVersion, key.engineVersion),
        ),
      );
    await tx.insert(faithfulness).values(figures.map((figure) => ({ ...key, methodHash, ...figure })));
  });
}

/** The report that comes with this code, where it is of this model and engine version. @returns whether it is. */
export async function publishShippedReport(db: Drizzle, artifactHash: Hex): Promise<boolean> {
  const report = reportSchema.parse(JSON.parse(await readFile(shippedPath, "utf8")));
  if (report.artifactHash !== artifactHash || report.engineVersion !== engineVersion) return false;
  await publishReport(db, report);
  return true;
}
