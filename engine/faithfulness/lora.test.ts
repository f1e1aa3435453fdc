import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import { initialAdapter, train } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { readModelFolder } from "#runtime/weights/model-folder";
import { mean } from "../influence/matrix.ts";
import { textSimilarity } from "../influence/text-similarity.ts";
import { shapley, subsets } from "../score/shapley.ts";
import { judgeFact } from "./causes.ts";
import { meanInterval } from "./correlation.ts";
import { drawFact, factKinds } from "./facts.ts";
import { ldsDifference, pooledLds } from "./lds-comparison.ts";
import { judgeLora, methods } from "./lora.ts";
import { judgeRemovals } from "./lora-removal.ts";
import { scheduleOf, trainWatched } from "./lora-training.ts";
import { drawTasks, taskCount, words } from "./tasks.ts";

const folder = fixture("grouped");
const start = initialAdapter((await readModelFolder(folder)).config, {
  baseModel: null,
  rank: 2,
  alpha: 4,
  isRankStabilized: false,
  targetModules: ["q_proj", "v_proj"],
  seed: 1n,
});
const training = { folder, start, epochs: 3, peak: 2e-2, rowTokens: 32, rowCount: 2 };

/** A record of class c says the same few tokens again and again, at one of several lengths. */
const recordOf = (classIndex: number, length: number) => ({
  example: { tokenIds: Array.from({ length }, (_, at) => 20 + classIndex * 9 + (at % 3)), answerFrom: 2 },
  words: [`class${classIndex}`, `length${length}`],
  classIndex,
});
const records = Array.from({ length: 16 }, (_, i) => recordOf(i % 2, 8 + (i % 5)));
const queries = Array.from({ length: 4 }, (_, i) => recordOf(i % 2, 14));

describe("an adapter trained while it is watched", () => {
  it("is the one that train gives, to the bit, and stands at waypoints on the way", async () => {
    const examples = records.map(({ example }) => example);
    const { adapter, waypoints } = await trainWatched(training, examples, 7n, [1, 3]);
    const { adapter: trained } = await train(folder, start, {
      examples,
      schedule: scheduleOf(training, examples, 7n),
      rowTokens: training.rowTokens,
      rowCount: training.rowCount,
      runsPerStep: 1,
      seed: 7n,
    });
    expect(adapter.modules).toEqual(trained.modules);
    expect(waypoints[1]!.adapter.modules).toEqual(trained.modules);
    expect(waypoints[0]!.adapter.modules).not.toEqual(trained.modules);
  });
});

describe("influence against retraining", () => {
  it("is above chance for every method where classes decide, and goes on with what was made before", async () => {
    const kept = new Map<string, number[]>();
    let made = 0;
    const remember = async (key: string, make: () => Promise<number[]>) => {
      if (!kept.has(key)) {
        kept.set(key, await make());
        made++;
      }
      return kept.get(key)!;
    };
    const world = {
      training,
      records,
      queries,
      subsetCount: 12,
      choosingCount: 4,
      ordersPerSubset: 1,
      seed: 3n,
      remember,
    };
    const judged = await judgeLora(world);
    expect(made).toBe(12);
    expect(judged.lossAfter).toBeLessThan(judged.lossBefore);
    for (const method of methods) {
      expect(pooledLds([{ ...judged, scores: judged.scores[method] }]).mean, method).toBeGreaterThan(0.2);
    }
    const again = await judgeLora(world);
    expect(made).toBe(12);
    expect(again.scores).toEqual(judged.scores);
    const removals = await judgeRemovals(world, judged);
    expect(mean(removals.topRise)).toBeGreaterThan(mean(removals.randomRise));
    expect(mean(removals.rankStability)).toBeGreaterThan(0.5);
    expect(removals.topRise).toHaveLength(queries.length / 2);
    expect(kept.size).toBe(12 + 1 + 5 + 2 + 2);
  });
});

describe("comparisons of LDS", () => {
  const next = pcg32(1n);
  const uniform = () => next() / 2 ** 32;
  const classes = Array.from({ length: 40 }, (_, i) => i % 4);
  /** Losses are what `truth` says, and noise; each record has an own effect beside its class's. */
  const truth = classes.map((c) => c + uniform() / 2);
  const subsets = Array.from({ length: 40 }, () => classes.flatMap((_, i) => (uniform() < 0.5 ? [i] : [])));
  const losses = subsets.map((subset) => [uniform() - subset.reduce((total, i) => total + truth[i]!, 0)]);
  const run = (scores: readonly number[]) => ({
    scores: [Float64Array.from(scores)],
    retrainings: { subsets, losses },
    classes,
  });

  it("see what classes explain, and inside classes only what records do", () => {
    const byClass = run(classes);
    expect(pooledLds([byClass]).mean).toBeGreaterThan(0.9);
    expect(Math.abs(pooledLds([byClass], "class").mean)).toBeLessThan(0.4);
    expect(pooledLds([run(truth)], "class").mean).toBeGreaterThan(0.7);
  });

  it("have an interval around the difference that is zero for a method against itself", () => {
    const noise = run(classes.map(uniform));
    const { mean, low, high } = ldsDifference([run(truth)], [noise]);
    expect(low).toBeGreaterThan(0.1);
    expect(high).toBeGreaterThan(mean);
    expect(ldsDifference([noise], [noise])).toEqual({ mean: 0, low: 0, high: 0 });
  });

  it("know Student's interval over runs", () => {
    const { mean, low, high } = meanInterval([1, 2, 3]);
    expect([mean, high - mean, mean - low].map((x) => x.toFixed(3))).toEqual(["2.000", "2.484", "2.484"]);
    expect(() => meanInterval([1])).toThrow(/2 to 10/);
  });
});

describe("texts", () => {
  it("of tasks stand once, in equal numbers, in words of the list", () => {
    const asked = new Set<string>();
    const drawn = drawTasks(9, pcg32(1n), asked);
    expect(asked.size).toBe(9 * taskCount);
    expect(Map.groupBy(drawn, ({ taskIndex }) => taskIndex).size).toBe(taskCount);
    for (const { question, answer } of drawn)
      for (const word of [...question, ...answer]) expect(words).toContain(word);
  });

  it("are most similar to themselves, and not at all without a common word", () => {
    const found = textSimilarity([["a", "b", "b"], ["c"]])(["a", "b", "b"]);
    expect(found[0]).toBeCloseTo(1, 12);
    expect(found[1]).toBe(0);
  });
});

describe("causes", () => {
  it("of every kind of fact are found by a reader that knows the text", () => {
    fc.assert(
      fc.property(fc.constantFrom(...factKinds), fc.nat(1e6), (kind, seed) => {
        const fact = drawFact(kind, 5, pcg32(BigInt(seed)));
        // A reader that gains three nats for each sentence of the answer that some passage holds.
        const sentences = fact.gold.map((position) => fact.passages[position]!);
        const nats = subsets(fact.passages).map(
          (context) => -9 + 3 * new Set(sentences.filter((sentence) => context.includes(sentence))).size,
        );
        const judged = judgeFact(fact, nats, [1]);
        expect(judged).toMatchObject({ isGoldFirst: true, junkShare: 0, paraphraseShare: 0, goldGap: 0 });
        expect(shapley(nats.map((x) => BigInt(Math.round(x * 1e6)))).filter((x) => x > 0n)).toHaveLength(
          fact.gold.length,
        );
        expect(judged.topDrop).toBe(kind === "duplicated" ? 0 : 3);
      }),
      { numRuns: 60 },
    );
  });
});
