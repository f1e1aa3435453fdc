import { keccak256, toHex } from "viem";
import { mean } from "../influence/matrix.ts";
import { sampleShapley } from "../score/permutations.ts";
import { quantise } from "../score/quantise.ts";
import { shapley } from "../score/shapley.ts";
import { spearman } from "./correlation.ts";
import type { Fact } from "./facts.ts";

/** What influence says of one fact, from the values of all coalitions of its passages. */
export type FactJudgement = {
  /** Whether no other passage has more influence than any that holds the answer. */
  readonly isGoldFirst: boolean;
  /** Gap between the two gold passages ÷ their mean; 0 with one. */
  readonly goldGap: number;
  /** Share of the positive influence that passages get which hold nothing of the answer. */
  readonly junkShare: number;
  /** Share that goes to the passage which says the same in other words; 0 without one. */
  readonly paraphraseShare: number;
  /** Loss of log p when the passage with the most influence is left out, and when a random one is, in nats. */
  readonly topDrop: number;
  readonly randomDrop: number;
  /** Spearman's ρ over all coalitions between Σ influence and log p. */
  readonly lds: number;
  /** Mean ρ of the ranks that sampled orders of other seeds give with the exact ones, and their relative L1 error. */
  readonly rankStability: number;
  readonly sampledError: number;
  readonly sampledCalls: number;
};

/**
 * Influence against causes that are known. `nats[mask]` is log p(answer | passages of `mask`), bit i set where passage i
 * is in: everything below follows from these 2^n values of the model.
 */
export function judgeFact(fact: Fact, nats: readonly number[], seeds: readonly number[]): FactJudgement {
  const micro = nats.map(quantise);
  const influences = shapley(micro).map(Number);
  const positive = influences.map((x) => Math.max(x, 0));
  const total = positive.reduce((a, b) => a + b, 0) || 1;
  const golds = fact.gold.map((position) => influences[position]!);
  const rest = influences.filter((_, position) => !fact.gold.includes(position));
  const full = nats.length - 1;
  const drops = influences.map((_, position) => nats[full]! - nats[full & ~(1 << position)]!);
  const top = influences.indexOf(Math.max(...influences));
  const sampled = seeds.map((seed) => sample(influences.length, micro, seed));
  return {
    isGoldFirst: Math.min(...golds) > Math.max(...rest),
    goldGap: golds.length < 2 ? 0 : Math.abs(golds[0]! - golds[1]!) / Math.abs(mean(golds)),
    junkShare:
      positive.reduce(
        (sum, x, position) => (fact.gold.includes(position) || position === fact.paraphrase ? sum : sum + x),
        0,
      ) / total,
    paraphraseShare: fact.paraphrase === null ? 0 : positive[fact.paraphrase]! / total,
    topDrop: drops[top]!,
    randomDrop: mean(drops),
    lds: spearman(
      nats.map((_, mask) => influences.reduce((sum, x, i) => sum + ((mask >> i) & 1 ? x : 0), 0)),
      nats,
    ),
    rankStability: mean(
      sampled.map(({ influencesMicro }) => spearman(influencesMicro.map(Number), influences)),
    ),
    sampledError: mean(
      sampled.map(
        ({ influencesMicro }) =>
          influencesMicro.reduce((sum, x, i) => sum + Math.abs(Number(x) - influences[i]!), 0) /
          influences.reduce((sum, x) => sum + Math.abs(x), 0),
      ),
    ),
    sampledCalls: mean(sampled.map(({ calls }) => calls)),
  };
}

function sample(players: number, micro: readonly bigint[], seed: number) {
  const sampler = sampleShapley(players, keccak256(toHex(seed)));
  let step = sampler.next();
  while (!step.done) step = sampler.next(step.value.map((mask) => micro[mask]!));
  return step.value;
}
