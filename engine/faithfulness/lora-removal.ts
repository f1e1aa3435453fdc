import { pcg32 } from "#runtime/inference/sampler";
import { scoresByRatio } from "../influence/efim.ts";
import { mean } from "../influence/matrix.ts";
import { type Numbers, spearman } from "./correlation.ts";
import { shuffled } from "./digits.ts";
import { exampleOf, judgedQueries, type LoraJudgement, type LoraWorld } from "./lora.ts";
import { loraGradients, retrainedLosses, trainWatched } from "./lora-training.ts";

/** Per judged query. */
export type RemovalJudgement = {
  /** How much its loss rises, in nats, where a tenth of the records is left out: its highest ones, or random ones. */
  readonly topRise: readonly number[];
  readonly randomRise: readonly number[];
  /** Rank correlation of its scores with those under adapters trained in other orders of the records. */
  readonly rankStability: readonly number[];
};

const removedPart = 0.1;
const randomRemovals = 5;
const otherOrders = 2;

/**
 * What the highest records of eFIM-dual do to a query when an adapter is trained without them, beside random ones, and
 * how much of the scores is the order of training. All trainings but those of other orders have the world's seed.
 */
export async function judgeRemovals(world: LoraWorld, judgement: LoraJudgement): Promise<RemovalJudgement> {
  const { records, queries, seed, remember } = world;
  const judged = judgedQueries(queries.length);
  const lossesWithout = (key: string, removed: readonly number[]) =>
    remember(key, () => {
      const out = new Set(removed);
      const kept = records.filter((_, i) => !out.has(i)).map(exampleOf);
      return retrainedLosses(world.training, kept, queries.map(exampleOf), seed);
    });
  const whole = await lossesWithout("without none", []);
  const count = Math.round(records.length * removedPart);
  const next = pcg32(seed, 13n);
  const random: number[][] = [];
  for (let draw = 0; draw < randomRemovals; draw++) {
    const removed = shuffled(records.length, next).slice(0, count);
    random.push(await lossesWithout(`without random ${draw}`, removed));
  }
  const topRise: number[] = [];
  for (const [i, q] of judged.entries()) {
    const top = highest(judgement.scores["eFIM-dual"][i]!, count);
    topRise.push((await lossesWithout(`without top ${q}`, top))[q]! - whole[q]!);
  }
  return {
    topRise,
    randomRise: judged.map((q) => mean(random.map((losses) => losses[q]!)) - whole[q]!),
    rankStability: await stability(world, judgement),
  };
}

async function stability(world: LoraWorld, judgement: LoraJudgement): Promise<number[]> {
  const { training, records, queries, seed, remember } = world;
  const judged = judgedQueries(queries.length);
  const byOrder: number[][] = [];
  for (let order = 1; order <= otherOrders; order++) {
    const make = async () => {
      const { adapter } = await trainWatched(
        training,
        records.map(exampleOf),
        seed * 1_000n + BigInt(order),
        [],
      );
      const { blocks, queries: vectors } = await loraGradients(
        training.folder,
        adapter,
        records.map(exampleOf),
        judged.map((q) => exampleOf(queries[q]!)),
      );
      const scoresOf = scoresByRatio(blocks)(judgement.efimRatio);
      return vectors.map((vector, i) => spearman(scoresOf(vector), judgement.scores["eFIM-dual"][i]!));
    };
    byOrder.push(await remember(`stability order ${order}`, make));
  }
  return judged.map((_, i) => mean(byOrder.map((correlations) => correlations[i]!)));
}

function highest(scores: Numbers, count: number): number[] {
  return Array.from({ length: scores.length }, (_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]!)
    .slice(0, count);
}
