import { afterAll, beforeAll, expect, it } from "vitest";
import { hashArtifact } from "#runtime/index";
import { openDatabase } from "#schema/database";
import { migrate } from "#schema/migrate";
import { faithfulness } from "#schema/offchain/40-engine";
import { startPostgres, type TestPostgres } from "#schema/testing/stack";
import type { Report } from "./faithfulness/report.ts";
import { publishReport, publishShippedReport } from "./publish-report.ts";

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server[Symbol.asyncDispose]());

const figure = { low: 0.1, high: 0.3, unit: "ρ", seedCount: 3, conditions: "as it was" };
const methodHash = `0x${"cd".repeat(32)}`;
const report = (engineVersion: number, ...measures: string[]): Report => ({
  artifactHash: `0x${"ab".repeat(32)}`,
  model: "m",
  engineVersion,
  methodHash,
  figures: measures.map((measure, i) => ({ ...figure, measure, value: i })),
});

it("keeps one report for each model and engine version, the newest", async () => {
  await using database = await openEmpty("faithfulness");
  const { db } = database;
  await publishReport(db, report(1, "a", "b"));
  await publishReport(db, report(2, "a"));
  await publishReport(db, report(1, "b", "c"));
  const rows = await db.select().from(faithfulness);
  const found = rows.map(({ engineVersion: version, measure, value }) => `${version} ${measure} ${value}`);
  expect(found.sort()).toEqual(["1 b 0", "1 c 1", "2 a 0"]);
  expect(rows[0]).toMatchObject({ ...figure, methodHash });
});

it("publishes the report that comes with the code for the model it is of, and for no other", async () => {
  await using database = await openEmpty("shipped");
  const { db } = database;
  expect(await publishShippedReport(db, `0x${"ab".repeat(32)}`)).toBe(false);
  expect(await db.select().from(faithfulness)).toEqual([]);
  const artifactHash = await hashArtifact("runtime/models/quote");
  expect(await publishShippedReport(db, artifactHash)).toBe(true);
  const rows = await db.select().from(faithfulness);
  expect(new Set(rows.map((row) => row.artifactHash))).toEqual(new Set([artifactHash]));
  expect(rows.map(({ measure }) => measure)).toContain("records.lds.efim-dual");
});

async function openEmpty(name: string) {
  const url = await server.url(name);
  await migrate(url);
  return openDatabase({ url, applicationName: "test" });
}
