import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { renderReport, reportSchema } from "./report.ts";

const docs = join(import.meta.dirname, "../../docs");

it("is the page that stands in docs, written from the figures beside it", async () => {
  const report = reportSchema.parse(JSON.parse(readFileSync(join(docs, "faithfulness.json"), "utf8")));
  await expect(renderReport(report)).toMatchFileSnapshot(join(docs, "faithfulness.md"));
});

it("shows three digits, an interval where there is one, and the conditions once", () => {
  const figure = { low: null, high: null, unit: "ρ", seedCount: 1, conditions: "as it was" };
  const page = renderReport({
    artifactHash: `0x${"0".repeat(64)}`,
    model: "m",
    engineVersion: 1,
    methodHash: `0x${"22".repeat(32)}`,
    figures: [
      { ...figure, measure: "a", value: 0.012345 },
      { ...figure, measure: "b", value: 1234.5, low: -1, high: 0, seedCount: 3 },
    ],
  });
  expect(page).toContain("| `a` | 0.0123 | – | ρ | 1 | 1 |");
  expect(page).toContain("| `b` | 1235 | -1.00 to 0 | ρ | 3 | 1 |");
  expect(page.split("as it was")).toHaveLength(2);
});
