import { buildShard } from "#engine/spans/shard";
import { findSpans, unigramOf } from "#engine/spans/spans";
import { pcg32 } from "#runtime/inference/sampler";
import { alone, type Benchmark, cpuMs, median } from "../report.ts";

const recordCount = 5_000;
const recordTokens = 199;
const vocabulary = 32_000;
const answerTokens = 500;
const rounds = 9;
const seed = 4n;

export const benchmark: Benchmark = {
  name: "spans",
  title: "Verbatim spans of an answer in a shard of a million tokens",
  conditions: `${recordCount} records of ${recordTokens} tokens, frequencies like 1/rank over ${vocabulary}; answers of ${answerTokens} tokens, half of them copied in runs of 25; one thread, CPU time, medians of ${rounds} answers and 3 builds, seed ${seed}`,
  run: async () => {
    const next = pcg32(seed);
    const draw = () => Math.floor(vocabulary ** (next() / 2 ** 32)) - 1;
    const records = Array.from({ length: recordCount }, (_, i) => ({
      id: `record ${i}`,
      tokenIds: Int32Array.from({ length: recordTokens }, draw),
    }));
    const builds: number[] = [];
    for (let round = 0; round < 3; round++) builds.push(await cpuMs(() => buildShard(records)));
    const shards = [buildShard(records)];
    const unigram = unigramOf(shards);
    const times: number[] = [];
    let found = 0;
    for (let round = 0; round < rounds; round++) {
      const answer = Array.from({ length: answerTokens / 50 }, () => [
        ...records[next() % recordCount]!.tokenIds.subarray(60, 85),
        ...Array.from({ length: 25 }, draw),
      ]).flat();
      times.push(
        await cpuMs(() => {
          found += findSpans(shards, unigram, answer).length;
        }),
      );
    }
    return [
      alone("build, 1,000,000 tokens", "ms", median(builds), { max: 2_000 }),
      alone("spans of an answer", "ms", median(times), { max: 20 }),
      alone("spans found an answer", "spans", found / rounds, { min: answerTokens / 50 }),
    ];
  },
};
