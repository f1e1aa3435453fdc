import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chunkMarkdown } from "#cli/demo/chunking";
import { fold } from "#engine/duplicates/shingles";
import { type Interval, meanInterval } from "#engine/faithfulness/correlation";
import { shuffled } from "#engine/faithfulness/digits";
import { judgeLora, type LoraJudgement, type LoraRecord } from "#engine/faithfulness/lora";
import { judgeRemovals, type RemovalJudgement } from "#engine/faithfulness/lora-removal";
import { mean } from "#engine/influence/matrix";
import { initialAdapter, readTokenizer, type Tokenizer } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { readModelFolder } from "#runtime/weights/model-folder";
import { alone, type Benchmark, intervalText } from "../report.ts";
import { loraRows } from "./lora-rows.ts";
import { rememberIn, resultsFolder } from "./remember.ts";
import { seven } from "./word-model.ts";

/** Folder with the EIPs as Markdown: `EIPS/` of a clone of github.com/ethereum/EIPs (CC0). */
const eipsVariable = "EIPS";
const modelFolder = "runtime/models/quote";
const seeds = (process.env.SEEDS ?? "1,2,3").split(",").map(BigInt);
const sizes = { documents: 10, records: 8, queries: 2, tokensMax: 48 };
const training = { epochs: 5, peak: 1e-2, rowTokens: 64, rowCount: 8, rank: 8 };
const halves = { subsetCount: 34, choosingCount: 4, ordersPerSubset: 1 };

export const eipConditions = `${sizes.documents} EIPs drawn by seed, ${sizes.records} passages of each as records and ${sizes.queries} as queries, of at most ${sizes.tokensMax} tokens, learned whole; LoRA of rank ${training.rank} on seven modules of the project's model; ${halves.subsetCount} halves, of which ${halves.choosingCount} and half of the queries choose the damping; seeds ${seeds.join(", ")}; a class is an EIP`;

export const benchmark: Benchmark = {
  name: "eips",
  title: "Influence of an adapter's records against retraining, on the project's model and EIPs",
  conditions: eipConditions,
  run: async () => {
    const runs = await judgeEips();
    const rise = (key: "topRise" | "randomRise") =>
      meanInterval(runs.map(({ removals }) => mean(removals[key])));
    const row = (work: string, found: Interval, unit: string, goal: { min: number }) =>
      alone(`${work} ${intervalText(found)}`, unit, found.mean, goal);
    return [
      ...loraRows(runs, true),
      row("rise of a query's loss without its top tenth", rise("topRise"), "nats", {
        min: rise("randomRise").mean,
      }),
      row("rise without a random tenth", rise("randomRise"), "nats", { min: -1e9 }),
      row(
        "ranks under another order of training",
        meanInterval(runs.map(({ removals }) => mean(removals.rankStability))),
        "ρ",
        { min: 0 },
      ),
    ];
  },
};

export type EipJudgement = LoraJudgement & { readonly removals: RemovalJudgement };

export async function judgeEips(): Promise<EipJudgement[]> {
  const folder = process.env[eipsVariable];
  if (folder === undefined)
    throw new RangeError(`set ${eipsVariable} to the folder of the EIPs' Markdown files`);
  const tokenizer = await readTokenizer(modelFolder);
  const documents = readDocuments(folder, tokenizer);
  const runs: EipJudgement[] = [];
  for (const seed of seeds) runs.push(await judge(documents, seed));
  return runs;
}

async function judge(documents: readonly (readonly LoraRecord[])[], seed: bigint): Promise<EipJudgement> {
  const next = pcg32(seed);
  const drawn = shuffled(documents.length, next)
    .slice(0, sizes.documents)
    .map((document, classIndex) =>
      shuffled(documents[document]!.length, next)
        .slice(0, sizes.records + sizes.queries)
        .map((passage) => ({ ...documents[document]![passage]!, classIndex })),
    );
  const { epochs, peak, rowTokens, rowCount, rank } = training;
  const start = initialAdapter((await readModelFolder(modelFolder)).config, {
    baseModel: null,
    rank,
    alpha: 2 * rank,
    isRankStabilized: false,
    targetModules: seven,
    seed,
  });
  const records = drawn.flatMap((passages) => passages.slice(0, sizes.records));
  const queries = drawn.flatMap((passages) => passages.slice(sizes.records));
  const results = resultsFolder("eips", { records, queries, training, halves, seed: String(seed) });
  const remember = rememberIn(results);
  const world = {
    training: { folder: modelFolder, start, epochs, peak, rowTokens, rowCount },
    records,
    queries,
    ...halves,
    seed,
    remember,
  };
  const judgement = await remember("judgement", () => judgeLora(world));
  return { ...judgement, removals: await judgeRemovals(world, judgement) };
}

/** Passages of each document that has enough of them, in the order of the files' names. */
function readDocuments(folder: string, tokenizer: Tokenizer): LoraRecord[][] {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".md"))
    .sort();
  return files
    .map((file) =>
      chunkMarkdown(readFileSync(join(folder, file), "utf8")).flatMap((text) => {
        const tokenIds = tokenizer.encode(text);
        const isShort = tokenIds.length >= 2 && tokenIds.length <= sizes.tokensMax;
        return isShort
          ? [{ example: { tokenIds, answerFrom: 1 }, words: fold(text).split(" "), classIndex: 0 }]
          : [];
      }),
    )
    .filter((passages) => passages.length >= sizes.records + sizes.queries);
}
