import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  type AttackReport,
  type AttackSize,
  attackSize,
  deployedSizes,
  type Junk,
  measureAttack,
} from "#engine/faithfulness/attacks";
import { meanInterval } from "#engine/faithfulness/correlation";
import { parseDigits } from "#engine/faithfulness/digits";
import { alone, type Benchmark, intervalText, type Row } from "../report.ts";
import { rememberIn, resultsFolder } from "./remember.ts";

/** Others than those the gate was chosen on, which were 1 to 3. */
export const attackSeeds = [4n, 5n, 6n, 7n, 8n];
/** The attacker's share that is allowed; null where it is only reported. */
export const attackJunks: readonly [Junk, number | null][] = [
  ["flipped", 0.005],
  ["noise", 0.04],
  ["copied", 0],
  ["paraphrased", null],
];

export function conditionsOf({ gateCount, windowCount, dampingRatio, isListed }: AttackSize): string {
  const rows = isListed ? "the 16 records that helped most and the 16 that harmed most" : "all records";
  return `digits, logistic regression, 20 honest owners of 50 records, a gate of ${gateCount} questions, a window of ${windowCount}, eFIM-dual with a damping of ${dampingRatio}, ${rows} of an answer counted; 16.7 % of the records are the attacker's; mean and 95 % interval over seeds ${attackSeeds.join(", ")}, a goal is for the worst of them`;
}

export const benchmark: Benchmark = {
  name: "attacks",
  title: "What an attacker's 200 records of 1,200 are paid",
  conditions: `${conditionsOf(attackSize)}; then as the engine pays by default, with the largest gate a training may have (${deployedSizes["largest-gate"].gateCount}) and a small one (${deployedSizes["small-gate"].gateCount})`,
  run: async () => {
    const rows: Row[] = [];
    for (const [junk, goal] of attackJunks) rows.push(...rowsOf(junk, goal, await measureAttacks(junk)));
    for (const [name, size] of Object.entries(deployedSizes))
      for (const [junk, goal] of attackJunks)
        rows.push(...rowsOf(`${name}, ${junk}`, goal, await measureAttacks(junk, size)));
    return rows;
  },
};

/** One attack on every seed; kept, because a seed takes half a minute of CPU time. */
export async function measureAttacks(junk: Junk, size = attackSize): Promise<AttackReport[]> {
  const csv = gunzipSync(readFileSync(join(import.meta.dirname, "digits.csv.gz"))).toString("utf8");
  const digits = parseDigits(csv);
  const remember = rememberIn(resultsFolder("attacks", size));
  const reports: AttackReport[] = [];
  for (const seed of attackSeeds)
    reports.push(await remember(`${junk} ${seed}`, async () => measureAttack(digits, junk, seed, size)));
  return reports;
}

function rowsOf(junk: string, goal: number | null, reports: readonly AttackReport[]): Row[] {
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
