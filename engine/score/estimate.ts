import type { Hex } from "viem";
import { apportion, sum } from "#schema/apportion";
import type { FoundBy } from "#schema/estimators";
import { leaveOneOut, surrogate, surrogateCoalitions } from "./alternatives.ts";
import { sampleShapley } from "./permutations.ts";
import { quantise } from "./quantise.ts";
import { playersMax, shapley } from "./shapley.ts";

/**
 * Ways to divide an answer over its passages. `shapley` is the default: exact for few players, sampled orders above. The
 * others are for comparison, or where it cannot be had; `black-box` asks the model nothing, for models that give no
 * log-probabilities. `isCausal` is false where passages were not taken away to see what changes.
 */
export const estimators = {
  shapley: { isCausal: true },
  "leave-one-out": { isCausal: true },
  surrogate: { isCausal: true },
  similarity: { isCausal: false },
  "black-box": { isCausal: false },
} as const;

export type Estimator = keyof typeof estimators;

/** v(∅) and v(N), and the players' influences with their standard errors, null where nobody knows them; all in micro-nats. */
export type Estimated = {
  readonly emptyMicro: bigint;
  readonly fullMicro: bigint;
  readonly influencesMicro: readonly bigint[];
  readonly standardErrorsMicro: readonly (bigint | null)[];
  /** What stands beside each influence: how it was found. */
  readonly estimator: FoundBy;
};

/** What is estimated: players in the order of the prompt, their retrieval scores, and the seed of what is drawn. */
export type Game = {
  readonly similaritiesMicro: readonly bigint[];
  readonly seed: Hex;
  /** Most players whose every coalition is asked for, at most `auditPlayersMax`; of more, orders are drawn. */
  readonly exactPlayersMax?: number;
};

/** Whether something is drawn, and the seed needed. */
export function needsSeed(estimator: Estimator, players: number, exactPlayersMax = playersMax): boolean {
  return (estimator === "shapley" && players > exactPlayersMax) || (estimator === "surrogate" && players > 0);
}

/**
 * Estimate by one of the ways. A generator, so that it stays pure: it yields the coalitions whose values it needs (bit i
 * set = player i is in), takes them in micro-nats in that order, and returns what it found.
 */
export function* estimate(
  estimator: Estimator,
  { similaritiesMicro, seed, exactPlayersMax = playersMax }: Game,
): Generator<number[], Estimated, bigint[]> {
  const players = similaritiesMicro.length;
  if (estimator === "black-box") return nominal(similaritiesMicro);
  if (estimator === "shapley" && players > exactPlayersMax) return yield* sampled(players, seed);
  const full = 2 ** players - 1;
  const exact = (influences: readonly bigint[], ends: readonly bigint[], name: FoundBy) =>
    found(influences, ends, name, 0n);
  if (estimator === "shapley") {
    const values = yield Array.from({ length: full + 1 }, (_, mask) => mask);
    return exact(shapley(values), [values[0]!, values[full]!], "shapley-exact");
  }
  if (estimator === "leave-one-out") {
    const masks = similaritiesMicro.map((_, player) => full ^ (1 << player));
    const [empty, whole, ...without] = yield [0, full, ...masks];
    const nats = leaveOneOut(Number(whole), without.map(Number));
    return exact(nats.map(BigInt), [empty!, whole!], estimator);
  }
  if (estimator === "similarity") {
    const [empty, whole] = yield [0, full];
    return found(shares(similaritiesMicro, whole! - empty!), [empty!, whole!], estimator, null);
  }
  const masks = surrogateCoalitions(players, seed);
  const [empty, whole, ...values] = yield [0, full, ...masks];
  const weights = surrogate(
    players,
    masks,
    values.map((micro) => Number(micro) / 1e6),
  );
  return found(weights.map(quantise), [empty!, whole!], estimator, null);
}

function found(
  influencesMicro: readonly bigint[],
  [emptyMicro, fullMicro]: readonly bigint[],
  estimator: FoundBy,
  errorMicro: bigint | null,
): Estimated {
  const standardErrorsMicro = influencesMicro.map(() => errorMicro);
  return {
    ...{ emptyMicro: emptyMicro!, fullMicro: fullMicro! },
    ...{ influencesMicro, standardErrorsMicro, estimator },
  };
}

function* sampled(players: number, seed: Hex): Generator<number[], Estimated, bigint[]> {
  const known = new Map<number, bigint>();
  const sampling = sampleShapley(players, seed);
  let step = sampling.next();
  while (!step.done) {
    const masks = step.value;
    const values = yield masks;
    masks.forEach((mask, i) => {
      known.set(mask, values[i]!);
    });
    step = sampling.next(values);
  }
  const { influencesMicro, standardErrorsMicro } = step.value;
  return {
    emptyMicro: known.get(0)!,
    fullMicro: known.get(2 ** players - 1)!,
    influencesMicro,
    standardErrorsMicro,
    estimator: "shapley-permutations",
  };
}

/**
 * Values that nobody measured, where the model tells no probabilities: −1 nat without passages, half of it with any that
 * retrieval found similar, so that data gets half of the fee by the same formula as always; divided by similarity.
 */
function nominal(similaritiesMicro: readonly bigint[]): Estimated {
  const emptyMicro = -1_000_000n;
  const isSimilar = similaritiesMicro.some((score) => score > 0n);
  const fullMicro = isSimilar ? emptyMicro / 2n : emptyMicro;
  const influencesMicro = shares(similaritiesMicro, fullMicro - emptyMicro);
  return found(influencesMicro, [emptyMicro, fullMicro], "black-box-similarity", null);
}

/** Positive retrieval scores as shares of `gain`; zero for all where nothing is similar or nothing was gained. */
function shares(similaritiesMicro: readonly bigint[], gainMicro: bigint): bigint[] {
  const positive = similaritiesMicro.map((score) => (score > 0n ? score : 0n));
  if (gainMicro <= 0n || sum(positive) === 0n) return positive.map(() => 0n);
  return apportion(gainMicro, positive);
}
