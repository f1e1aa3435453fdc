import { z } from "zod";

/** One figure: `low` and `high` bound its 95 % interval over `seedCount` runs, null where it has none. */
const figureSchema = z.strictObject({
  measure: z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/),
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  unit: z.string(),
  seedCount: z.int().positive(),
  conditions: z.string(),
});

/** How true the influence on one model's answers is under one engine version. */
export const reportSchema = z.strictObject({
  artifactHash: z.string().regex(/^0x[0-9a-f]{64}$/),
  model: z.string(),
  engineVersion: z.int().positive(),
  /** Of the engine that measured: stands in epochs that are scored by the same code and settings, on such a processor. */
  methodHash: z.string().regex(/^0x[0-9a-f]{64}$/),
  figures: z.array(figureSchema).min(1),
});

export type Figure = z.infer<typeof figureSchema>;
export type Report = z.infer<typeof reportSchema>;

/** The report as a page of Markdown. */
export function renderReport({ artifactHash, model, engineVersion, methodHash, figures }: Report): string {
  const conditions = [...new Set(figures.map((figure) => figure.conditions))];
  const rows = figures.map(
    ({ measure, value, low, high, unit, seedCount, conditions: under }) =>
      `| \`${measure}\` | ${digits(value)} | ${low === null || high === null ? "–" : `${digits(low)} to ${digits(high)}`} | ${unit} | ${seedCount} | ${conditions.indexOf(under) + 1} |`,
  );
  return [
    "# Faithfulness",
    "",
    `How true the attribution of \`${model}\` (artifact \`${artifactHash}\`) is under engine version ${engineVersion}, measured under method \`${methodHash}\`: figures against a truth that ablation or retraining makes. Written by \`npm run bench -- faithfulness\` from \`faithfulness.json\`; do not edit. The same rows stand in \`engine.faithfulness\` and in the API as \`Model.faithfulness\`. They are a report, no promise: another model, other texts or another engine version need their own.`,
    "",
    "| measure | value | 95 % interval | unit | seeds | conditions |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows,
    "",
    ...conditions.map((text, index) => `${index + 1}. ${text}`),
    "",
  ].join("\n");
}

/** Three significant digits, without an exponent. */
function digits(value: number): string {
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  return size >= 2 ? value.toFixed(0) : value.toFixed(Math.min(6, 2 - size));
}
