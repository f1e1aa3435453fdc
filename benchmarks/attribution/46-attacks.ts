import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type AttackReport, type Junk, measureAttack } from "#engine/faithfulness/attacks";
import { meanInterval } from "#engine/faithfulness/correlation";
import { parseDigits } from "#engine/faithfulness/digits";
import { alone, type Benchmark, intervalText, type Row } from "../report.ts";

/** Others than those the gate was chosen on, which were 1 to 3. */
const seeds = [4n, 5n, 6n, 7n, 8n, 9n];
/** The attacker's share that is allowed; null where it is only reported. */
const junks: readonly [Junk, number | null][] = [
  ["flipped", 0.005],
  ["noise", 0.04],
  ["copied", 0],
  ["paraphrased", null],
];

export const benchmark: Benchmark = {
  name: "attacks",
  title: "What an attacker's 200 records of 1,200 are paid",
  conditions: `digits, logistic regression, 20 honest owners of 50 records, a gate of 397 questions, a window of 400, eFIM-dual; 16.7 % of the records are the attacker's; mean and 95 % interval over seeds ${seeds.join(", ")}, a goal is for the worst of them`,
  run: async () => {
    const csv = gunzipSync(readFileSync(join(import.meta.dirname, "digits.csv.gz"))).toString("utf8");
    const digits = parseDigits(csv);
    return junks.flatMap(([junk, goal]) => {
      const reports = seeds.map((seed) => measureAttack(digits, junk, seed));
      return rowsOf(junk, goal, reports);
    });
  },
};

function rowsOf(junk: Junk, goal: number | null, reports: readonly AttackReport[]): Row[] {
  const row = (
    work: string,
    key: keyof AttackReport,
    unit: string,
    bound: { min: number } | { max: number },
  ) => {
    const values = reports.map((report) => report[key]);
    const worst = "max" in bound ? Math.max(...values) : Math.min(...values);
    return alone(`${junk}: ${work} ${intervalText(meanInterval(values))}, worst`, unit, worst, bound);
  };
  const share = (work: string, key: keyof AttackReport, max: number) => row(work, key, "of the pay", { max });
  return [
    share("undefended", "undefended", 1),
    share("1 identity", "oneIdentity", goal ?? 1),
    share("10 identities", "tenIdentities", goal ?? 1),
    share("200 identities", "identityEach", goal ?? 1),
    share("200 identities, with reputation", "identityEachAttenuated", goal ?? 1),
    share("losses isolated", "isolated", goal ?? 1),
    row("honest records through the gate", "honestThroughGate", "of them", { min: goal === null ? 0 : 0.95 }),
    row("honest newcomers with one record through the gate", "newcomersThroughGate", "of them", { min: 0 }),
  ];
}
