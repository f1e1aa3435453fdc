import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hex } from "viem";
import { type AttackSize, attackSize, deployedSizes } from "#engine/faithfulness/attacks";
import type { FactJudgement } from "#engine/faithfulness/causes";
import { type Interval, meanInterval } from "#engine/faithfulness/correlation";
import { type FactKind, factKinds } from "#engine/faithfulness/facts";
import { pooledLds } from "#engine/faithfulness/lds-comparison";
import { type Method, methods } from "#engine/faithfulness/lora";
import type { RemovalJudgement } from "#engine/faithfulness/lora-removal";
import { type Figure, type Report, renderReport } from "#engine/faithfulness/report";
import { dualRecordsMax } from "#engine/influence/efim";
import { mean } from "#engine/influence/matrix";
import { describeMethod, engineVersion } from "#engine/method";
import { openPool } from "#engine/pool";
import { publishReport } from "#engine/publish-report";
import { hashArtifact } from "#runtime/index";
import { openDatabase } from "#schema/database";
import { migrate } from "#schema/migrate";
import { alone, type Benchmark } from "../report.ts";
import { attackJunks, attackSeeds, conditionsOf, measureAttacks } from "./46-attacks.ts";
import { type EipJudgement, eipConditions, judgeEips } from "./48-eips.ts";
import { factConditions, factSettings, type JudgedFacts, judgeFacts, overSeeds } from "./48-facts.ts";
import { scoringCost } from "./scoring-cost.ts";

const model = "runtime/models/quote";
const docs = join(import.meta.dirname, "../../docs");

export const benchmark: Benchmark = {
  name: "faithfulness",
  title: "The faithfulness report of the project's model",
  conditions:
    "those of `facts`, `eips` and `attacks`, whose kept results it takes; writes docs/faithfulness.{json,md}, and the rows to PostgreSQL where DATABASE_URL names one",
  run: async () => {
    const report: Report = {
      artifactHash: await hashArtifact(model),
      model,
      engineVersion,
      methodHash: await defaultMethod(),
      figures: [
        ...passageFigures(await judgeFacts()),
        ...recordFigures(await judgeEips()),
        ...(await costFigures()),
        ...(await attackFigures()),
      ],
    };
    writeFileSync(join(docs, "faithfulness.json"), `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(join(docs, "faithfulness.md"), renderReport(report));
    const { DATABASE_URL } = process.env;
    if (DATABASE_URL !== undefined) {
      await migrate(DATABASE_URL);
      await using database = openDatabase({ url: DATABASE_URL, applicationName: "faithfulness" });
      await publishReport(database.db, report);
    }
    return report.figures.map(({ measure, unit, value }) => alone(measure, unit, value, { min: -1e9 }));
  },
};

/** The hash of an engine with the settings that `npm start` gives it. */
async function defaultMethod(): Promise<Hex> {
  await using pool = await openPool({ folder: model, workers: 1, adaptableModules: ["q_proj", "v_proj"] });
  const settings = {
    estimator: "shapley",
    influenceMethod: "efim-dual",
    dualMax: dualRecordsMax,
  } as const;
  return describeMethod(pool.profile, settings).hash;
}

function passageFigures(judged: JudgedFacts): Figure[] {
  const figure = (
    measure: string,
    unit: string,
    kinds: readonly FactKind[],
    of: (judgement: FactJudgement) => number,
  ): Figure => {
    const { mean, low, high } = overSeeds(judged, kinds, of);
    return {
      measure,
      value: mean,
      low,
      high,
      unit,
      seedCount: factSettings.seeds.length,
      conditions: factConditions,
    };
  };
  return [
    ...factKinds.map((kind) =>
      figure(`passages.gold-first.${kind}`, "of facts", [kind], ({ isGoldFirst }) => Number(isGoldFirst)),
    ),
    figure("passages.gap-of-duplicates", "of their mean", ["duplicated"], ({ goldGap }) => goldGap),
    figure("passages.lds", "ρ", factKinds, ({ lds }) => lds),
    figure("passages.drop-without-top", "nats", ["single"], ({ topDrop }) => topDrop),
    figure("passages.drop-without-random", "nats", ["single"], ({ randomDrop }) => randomDrop),
    figure("passages.rank-stability", "ρ", factKinds, ({ rankStability }) => rankStability),
    figure("passages.junk-share", "of the positive influence", ["single"], ({ junkShare }) => junkShare),
    figure(
      "passages.paraphrase-share",
      "of the positive influence",
      ["paraphrased"],
      ({ paraphraseShare }) => paraphraseShare,
    ),
  ];
}

/** Of an adapter's records, under the method that pays them and under those it is measured against. */
function recordFigures(runs: readonly EipJudgement[]): Figure[] {
  const figure = (measure: string, unit: string, { mean: value, low, high }: Interval): Figure => ({
    measure,
    value,
    low,
    high,
    unit,
    seedCount: runs.length,
    conditions: eipConditions,
  });
  const judged = (method: Method) =>
    runs.map(({ scores, retrainings, classes }) => ({ scores: scores[method], retrainings, classes }));
  const removal = (key: keyof RemovalJudgement) =>
    meanInterval(runs.map(({ removals }) => mean(removals[key])));
  return [
    ...methods.map((method) => figure(`records.lds.${method.toLowerCase()}`, "ρ", pooledLds(judged(method)))),
    figure("records.lds-within-classes.efim-dual", "ρ", pooledLds(judged("eFIM-dual"), "class")),
    figure("records.drop-without-top", "nats", removal("topRise")),
    figure("records.drop-without-random", "nats", removal("randomRise")),
    figure("records.rank-stability", "ρ", removal("rankStability")),
  ];
}

async function costFigures(): Promise<Figure[]> {
  const { answerMs, scoreMs, conditions } = await scoringCost();
  const figure = (measure: string, values: readonly number[], unit: string): Figure => {
    const { mean, low, high } = meanInterval(values);
    return { measure, value: mean, low, high, unit, seedCount: values.length, conditions };
  };
  return [
    figure("cost.answer", answerMs, "CPU ms"),
    figure("cost.score", scoreMs, "CPU ms"),
    figure(
      "cost.score-per-answer",
      scoreMs.map((ms, i) => ms / answerMs[i]!),
      "times the answer",
    ),
  ];
}

async function attackFigures(): Promise<Figure[]> {
  const figures = await attackFiguresOf("attacks", attackSize);
  for (const [name, size] of Object.entries(deployedSizes))
    figures.push(...(await attackFiguresOf(`attacks.${name}`, size)));
  return figures;
}

async function attackFiguresOf(prefix: string, size: AttackSize): Promise<Figure[]> {
  const conditions = `${conditionsOf(size)}; the rule of payment under attack, on another model than this one`;
  const figures: Figure[] = [];
  for (const [junk] of attackJunks) {
    const reports = await measureAttacks(junk, size);
    for (const key of ["oneIdentity", "identityEach", "undefended"] as const) {
      const { mean, low, high } = meanInterval(reports.map((report) => report[key]));
      const name = { oneIdentity: "one-identity", identityEach: "200-identities", undefended: "undefended" }[
        key
      ];
      figures.push({
        measure: `${prefix}.${junk}.${name}`,
        value: mean,
        low,
        high,
        unit: "of the pay",
        seedCount: attackSeeds.length,
        conditions,
      });
    }
  }
  return figures;
}
