import { divideExactly, sum } from "#schema/apportion";
import { dataShare } from "./quantise.ts";
import { shapley } from "./shapley.ts";

/** v = log p(answer) in micro-nats of the model alone, with the passages, with the adapter, with both. */
export type FourValues = {
  readonly baseMicro: bigint;
  readonly contextMicro: bigint;
  readonly adapterMicro: bigint;
  readonly bothMicro: bigint;
};

/**
 * A gain of at most this many micro-nats is noise: what a value may differ by from a recomputed one without being wrong
 * (`disputeToleranceMicro`).
 */
export const noiseMicro = 1_000n;

/** What each of the two players is worth; they sum to v(both) − v(base) exactly. */
export type PlayerValues = {
  readonly contextMicro: bigint;
  readonly adapterMicro: bigint;
  /** Whether passages may earn: the context is worth something, and added more than noise to the model that answered. */
  readonly contextHelped: boolean;
  /** clip((v(both) − v(base)) / −v(base), 0, 1): data's part of the fee; the rest is the model's lineage's. */
  readonly dataShareWad: bigint;
};

/**
 * One unit and one total for passages and training records: context and adapter are the two players of an exact Shapley
 * game, so what they explain together (an adapter that has learnt to read passages) is halved between them.
 */
export function playerValues({ baseMicro, contextMicro, adapterMicro, bothMicro }: FourValues): PlayerValues {
  const [context, adapter] = shapley([baseMicro, contextMicro, adapterMicro, bothMicro]);
  return {
    contextMicro: context!,
    adapterMicro: adapter!,
    contextHelped: context! > 0n && bothMicro - adapterMicro > noiseMicro,
    dataShareWad: dataShare(baseMicro, bothMicro),
  };
}

/** Influences of passages and their standard errors, null where nobody knows them, both in micro-nats. */
export type Estimates = {
  readonly influencesMicro: readonly bigint[];
  readonly standardErrorsMicro: readonly (bigint | null)[];
};

/**
 * Influences of passages, which sum to v(both) − v(adapter) where they are Shapley values, stretched by one factor so that
 * they sum to the context's value. As they are where the context did not help: they are told, and nothing is paid. All
 * zero where it did, but their sum is noise, or not above the largest standard error: nobody knows which passage it was.
 */
export function scalePassages(found: Estimates, { contextMicro, contextHelped }: PlayerValues): Estimates {
  if (!contextHelped) return found;
  const { influencesMicro, standardErrorsMicro } = found;
  const total = sum(influencesMicro);
  if (total <= noiseMicro || standardErrorsMicro.some((error) => error !== null && error >= total))
    return { influencesMicro: influencesMicro.map(() => 0n), standardErrorsMicro };
  const numerators = influencesMicro.map((influence) => influence * contextMicro);
  return {
    influencesMicro: divideExactly(numerators, total),
    standardErrorsMicro: standardErrorsMicro.map((error) => error && (error * contextMicro) / total),
  };
}

/** Influences of records in micro-nats within the adapter's value, and what of it none of them explains. */
export type Scaled = { readonly influencesMicro: readonly bigint[]; readonly unexplainedMicro: bigint };

/**
 * Influences of training records (score ÷ n), whose sum means nothing: kept where the positive ones are within the
 * adapter's value, else shrunk to it, all by one factor, rounded towards zero. The adapter's owner is left what they do
 * not explain.
 */
export function scaleRecords(influencesMicro: readonly bigint[], playerMicro: bigint): Scaled {
  const helped = sum(influencesMicro.map(positive));
  const room = positive(playerMicro);
  if (helped <= room) return { influencesMicro, unexplainedMicro: room - helped };
  const scaled = influencesMicro.map((influence) => (influence * room) / helped);
  return { influencesMicro: scaled, unexplainedMicro: room - sum(scaled.map(positive)) };
}

function positive(value: bigint): bigint {
  return value > 0n ? value : 0n;
}
