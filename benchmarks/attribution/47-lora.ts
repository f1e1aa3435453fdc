import { existsSync } from "node:fs";
import { join } from "node:path";
import { judgeLora, type LoraJudgement, type LoraRecord } from "#engine/faithfulness/lora";
import { drawTasks, type TaskRecord, taskCount } from "#engine/faithfulness/tasks";
import { initialAdapter } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { readModelFolder } from "#runtime/weights/model-folder";
import type { Benchmark } from "../report.ts";
import { loraRows } from "./lora-rows.ts";
import { rememberIn, resultsFolder } from "./remember.ts";
import { exampleOf, makeWordModel, preTraining, seven } from "./word-model.ts";

const seeds = (process.env.SEEDS ?? "1,2,3").split(",").map(BigInt);
const perTask = { records: 90, queries: 10 };
const training = { epochs: 16, peak: 1.5e-2, rowTokens: 64, rowCount: 64, rank: 8 };
const halves = { subsetCount: 36, choosingCount: 6, ordersPerSubset: 1 };
const settings = { perTask, training, halves, preTraining };

export const benchmark: Benchmark = {
  name: "lora",
  title: "Influence of an adapter's records against retraining on halves of them",
  conditions: `${perTask.records * taskCount} records of ${taskCount} tasks and ${perTask.queries * taskCount} queries from our generator, a Llama of 2 layers and 64 columns over words made by the run, LoRA of rank ${training.rank} on seven modules; ${halves.subsetCount} halves, of which ${halves.choosingCount} and half of the queries choose the damping; seeds ${seeds.join(", ")} of base, records, halves and order; intervals: jackknife over halves, differences by paired bootstrap over queries and halves`,
  run: async () => {
    const runs: LoraJudgement[] = [];
    for (const seed of seeds) runs.push(await judge(seed));
    return loraRows(runs, true);
  },
};

async function judge(seed: bigint): Promise<LoraJudgement> {
  const results = resultsFolder("lora", { ...settings, seed: String(seed) });
  const remember = rememberIn(results);
  return remember("judgement", async () => {
    const folder = join(results, "base");
    if (!existsSync(folder)) await makeWordModel(results, seed);
    const { epochs, peak, rowTokens, rowCount, rank } = training;
    const start = initialAdapter((await readModelFolder(folder)).config, {
      baseModel: null,
      rank,
      alpha: 2 * rank,
      isRankStabilized: false,
      targetModules: seven,
      seed,
    });
    const [next, asked] = [pcg32(seed), new Set<string>()];
    const records = drawTasks(perTask.records, next, asked).map(recordOf);
    const queries = drawTasks(perTask.queries, next, asked).map(recordOf);
    const worldOf = { training: { folder, start, epochs, peak, rowTokens, rowCount }, records, queries };
    return judgeLora({ ...worldOf, ...halves, seed, remember });
  });
}

function recordOf(record: TaskRecord): LoraRecord {
  return {
    example: exampleOf(record),
    words: [...record.question, ...record.answer],
    classIndex: record.taskIndex,
  };
}
