import { recordsHarmedMax, recordsHelpedMax } from "#settlement/blob/provenance";
import { quantise } from "../score/quantise.ts";
import { scaleRecords } from "../score/total.ts";

/** A training record that becomes a row: its position in the store, its influence in micro-nats. */
export type ListedRecord = { index: number; influenceMicro: bigint };

export type RecordInfluences = {
  /** Those that helped, most first, then those that harmed, most first; of equal ones the lower index. */
  listed: readonly ListedRecord[];
  /** What the adapter is worth beyond all records together. */
  unexplainedMicro: bigint;
};

/** Largest influence that is still an exact integer in micro-nats. */
const natsMax = 9e9;

/**
 * Scores of all records for one answer → influences in micro-nats: score ÷ n, rounded, shrunk to the adapter's value where
 * they exceed it. The largest become rows: at most `recordsHelpedMax` that helped and `recordsHarmedMax` that harmed. What
 * the others helped is in neither figure: settlement carries it. Null where a score is no number or beyond any real one.
 */
export function recordInfluences(scores: ArrayLike<number>, adapterMicro: bigint): RecordInfluences | null {
  const nats = Array.from(scores, (score) => score / scores.length);
  if (!nats.every(isRealNats)) return null;
  const { influencesMicro, unexplainedMicro } = scaleRecords(nats.map(quantise), adapterMicro);
  const ranked = influencesMicro.map((influenceMicro, index) => ({ index, influenceMicro }));
  const helped = ranked.filter(({ influenceMicro }) => influenceMicro > 0n);
  const harmed = ranked.filter(({ influenceMicro }) => influenceMicro < 0n);
  const listed = [
    ...helped.sort((a, b) => descending(a.influenceMicro, b.influenceMicro)).slice(0, recordsHelpedMax),
    ...harmed.sort((a, b) => descending(b.influenceMicro, a.influenceMicro)).slice(0, recordsHarmedMax),
  ];
  return { listed, unexplainedMicro };
}

/** Whether a value can be rounded to micro-nats. */
export function isRealNats(value: number): boolean {
  return Math.abs(value) <= natsMax;
}

/** Sorting is stable: of equal ones the lower index stays first. */
function descending(a: bigint, b: bigint): number {
  return a === b ? 0 : a > b ? -1 : 1;
}
