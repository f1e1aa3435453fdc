import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faithfulness } from "#schema/offchain/40-engine";
import { startPostgres, type TestPostgres } from "#schema/testing/stack";
import type { Report } from "./faithfulness/report.ts";
import { publishReport } from "./publish-report.ts";

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server[Symbol.asyncDispose]());

const figure = { low: 0.1, high: 0.3, unit: "ρ", seedCount: 3, conditions: "as it was" };
const report = (engineVersion: number, ...measures: string[]): Report => ({
  artifactHash: `0x${"ab".repeat(32)}`,
  model: "m",
  engineVersion,
  figures: measures.map((measure, i) => ({ ...figure, measure, value: i })),
});

it("keeps one report for each model and engine version, the newest", async () => {
  const url = await server.url("faithfulness");
  await publishReport(url, report(1, "a", "b"));
  await publishReport(url, report(2, "a"));
  await publishReport(url, report(1, "b", "c"));
  const client = postgres(url, { max: 1 });
  try {
    const rows = await drizzle(client).select().from(faithfulness);
    const found = rows.map(({ engineVersion, measure, value }) => `${engineVersion} ${measure} ${value}`);
    expect(found.sort()).toEqual(["1 b 0", "1 c 1", "2 a 0"]);
    expect(rows[0]).toMatchObject(figure);
  } finally {
    await client.end();
  }
});
