import { type FactJudgement, judgeFact } from "#engine/faithfulness/causes";
import { type Interval, meanInterval } from "#engine/faithfulness/correlation";
import { drawFact, type Fact, type FactKind, factKinds } from "#engine/faithfulness/facts";
import { subsets } from "#engine/score/shapley";
import { encodePrompt, openModel, readTokenizer, renderAnswer } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { alone, type Benchmark, intervalText, type Row } from "../report.ts";
import { rememberIn, resultsFolder } from "./remember.ts";

const modelFolder = "runtime/models/quote";
export const factSettings = { perKind: 12, passages: 6, seeds: [1, 2, 3] } as const;

export const factConditions = `${factSettings.perKind} made-up facts of each kind and seed, ${factSettings.passages} passages in a drawn order, exact Shapley values over 64 contexts; sampled orders beside them; mean over the facts of a seed, with Student's interval over seeds ${factSettings.seeds.join(", ")}`;

export const benchmark: Benchmark = {
  name: "facts",
  title: "Influence of passages on answers whose causes are known, on the project's model",
  conditions: factConditions,
  run: async () => factRows(await judgeFacts()),
};

/** Judgements by seed and kind. */
export type JudgedFacts = ReadonlyMap<FactKind, readonly (readonly FactJudgement[])[]>;

export async function judgeFacts(): Promise<JudgedFacts> {
  const tokenizer = await readTokenizer(modelFolder);
  await using model = await openModel(modelFolder, { threads: 1 });
  const drawn = drawAll();
  const remember = rememberIn(resultsFolder("facts", { drawn, artifact: model.artifactHash }));
  const valuesOf = async ({ passages, question, answer }: Fact) => {
    const answerTokenIds = tokenizer.encode([...renderAnswer(answer)]);
    const requests = subsets(passages).map((context) => ({
      ...encodePrompt(tokenizer, { passages: context, question }),
      answerTokenIds,
    }));
    return model.logProb(requests);
  };
  const judged = new Map<FactKind, FactJudgement[][]>();
  for (const [kind, bySeed] of drawn) {
    judged.set(kind, []);
    for (const [s, facts] of bySeed.entries()) {
      const judgements: FactJudgement[] = [];
      for (const [i, fact] of facts.entries()) {
        const nats = await remember(`${kind} ${factSettings.seeds[s]} ${i}`, () => valuesOf(fact));
        judgements.push(judgeFact(fact, nats, [1, 2, 3]));
      }
      judged.get(kind)!.push(judgements);
    }
  }
  return judged;
}

function drawAll(): [FactKind, Fact[][]][] {
  return factKinds.map((kind, index) => [
    kind,
    factSettings.seeds.map((seed) => {
      const next = pcg32(BigInt(seed), BigInt(index));
      return Array.from({ length: factSettings.perKind }, () => drawFact(kind, factSettings.passages, next));
    }),
  ]);
}

/** Mean of a figure over the facts of each seed, and its interval over seeds. */
export function overSeeds(
  judged: JudgedFacts,
  kinds: readonly FactKind[],
  figure: (judgement: FactJudgement) => number,
): Interval {
  return meanInterval(
    factSettings.seeds.map((_, s) => {
      const figures = kinds.flatMap((kind) => judged.get(kind)![s]!.map(figure));
      return figures.reduce((a, b) => a + b, 0) / figures.length;
    }),
  );
}

function factRows(judged: JudgedFacts): Row[] {
  const row = (
    work: string,
    unit: string,
    kinds: readonly FactKind[],
    figure: (judgement: FactJudgement) => number,
    goal: { min: number } | { max: number },
  ) => {
    const found = overSeeds(judged, kinds, figure);
    return alone(`${work} ${intervalText(found)}`, unit, found.mean, goal);
  };
  const firsts = factKinds.map((kind) =>
    row(`gold first, ${kind}`, "of facts", [kind], ({ isGoldFirst }) => Number(isGoldFirst), {
      min: kind === "paraphrased" ? 0 : 0.95,
    }),
  );
  return [
    ...firsts,
    row("gap within a duplicated pair", "of its mean", ["duplicated"], ({ goldGap }) => goldGap, {
      max: 0.05,
    }),
    row(
      "positive influence of passages without the answer",
      "of it",
      ["single", "duplicated"],
      ({ junkShare }) => junkShare,
      { max: 1 },
    ),
    row(
      "positive influence of a paraphrase",
      "of it",
      ["paraphrased"],
      ({ paraphraseShare }) => paraphraseShare,
      { max: 1 },
    ),
    row("drop of log p without the top passage", "nats", ["single"], ({ topDrop }) => topDrop, { min: 0 }),
    row("drop without a random one", "nats", ["single"], ({ randomDrop }) => randomDrop, { min: -1e9 }),
    row("LDS over all coalitions", "ρ", factKinds, ({ lds }) => lds, { min: 0 }),
    row(
      "sampled orders: ρ of ranks with the exact ones",
      "ρ",
      factKinds,
      ({ rankStability }) => rankStability,
      { min: 0.9 },
    ),
    row("sampled orders: error", "relative L1", factKinds, ({ sampledError }) => sampledError, { max: 0.1 }),
    row("sampled orders: calls", "calls", factKinds, ({ sampledCalls }) => sampledCalls, { max: 64 }),
  ];
}
