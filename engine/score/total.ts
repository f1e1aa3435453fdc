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

/** What each of the two players is worth; they sum to v(both) − v(base) exactly. */
export type PlayerValues = {
  readonly contextMicro: bigint;
  readonly adapterMicro: bigint;
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
    dataShareWad: dataShare(baseMicro, bothMicro),
  };
}

/** Influences in micro-nats under their player's value, and what of it none of them explains. */
export type Scaled = { readonly influencesMicro: readonly bigint[]; readonly unexplainedMicro: bigint };

/**
 * Shapley values of passages, which sum to v(both) − v(adapter), stretched so that they sum to the context's value.
 * Where either sum is not positive nothing can be stretched, and nothing is paid: they stay as they are, all unexplained.
 */
export function scalePassages(influencesMicro: readonly bigint[], playerMicro: bigint): Scaled {
  const total = sum(influencesMicro);
  if (total <= 0n || playerMicro <= 0n) return { influencesMicro, unexplainedMicro: positive(playerMicro) };
  const numerators = influencesMicro.map((influence) => influence * playerMicro);
  return { influencesMicro: divideExactly(numerators, total), unexplainedMicro: 0n };
}

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
