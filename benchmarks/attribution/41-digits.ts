import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type DigitsReport, digitsSize, measureDigits, parseDigits } from "#engine/faithfulness/digits";
import { alone, type Benchmark, type Row } from "../report.ts";

const seeds = [1n, 2n, 3n];

export const benchmark: Benchmark = {
  name: "digits",
  title: "Influence against the truth of retraining: handwritten digits, logistic regression",
  conditions: `${digitsSize.trainCount} of 1,797 records (scikit-learn's digits, BSD-3), ${digitsSize.queryCount} queries, ${digitsSize.leaveOneOutCount} left out one by one, ${digitsSize.subsetCount} half subsets, seeds ${seeds.join(", ")}; damping chosen on one half of queries and subsets, reported on the other; worst seed, with its jackknife interval`,
  run: async () => {
    const csv = gunzipSync(readFileSync(join(import.meta.dirname, "digits.csv.gz"))).toString("utf8");
    const data = parseDigits(csv);
    const reports = seeds.map((seed) => measureDigits(data, digitsSize, seed));
    const worst = Math.min(...reports.map(({ leaveOneOut }) => leaveOneOut.mean));
    return [
      alone("leave-one-out, mean Pearson per query", "r", worst, { min: 0.999 }),
      ldsRow("exact influence", reports, "exact", 0.985),
      ldsRow(
        `eFIM-dual, λ ratio ${reports.map(({ efimRatio }) => efimRatio).join("/")}`,
        reports,
        "efim",
        0.93,
      ),
      ldsRow("eFIM-dual of 512 projected columns", reports, "projected", 0.88),
      ldsRow("DataInf", reports, "dataInf", 0.55),
      ldsRow("gradient dot product", reports, "gradientDot", 0.55),
    ];
  },
};

function ldsRow(work: string, reports: DigitsReport[], method: keyof DigitsReport["lds"], min: number): Row {
  const worst = reports.map(({ lds }) => lds[method]).reduce((a, b) => (b.mean < a.mean ? b : a));
  return alone(`LDS, ${work} [${worst.low.toFixed(3)}, ${worst.high.toFixed(3)}]`, "ρ", worst.mean, { min });
}
