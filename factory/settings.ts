import type * as settings from "#settlement/blob/training/settings";

/** What a user may choose; the rest has a default that follows from it. */
export type Choice = {
  name: string;
  rank?: number | undefined;
  alpha?: number | undefined;
  targetModules?: readonly string[] | undefined;
  steps?: number | undefined;
  peak?: number | undefined;
  seed?: number | undefined;
  recordsMax?: number | undefined;
  gateRecords?: number | undefined;
  waypoints?: number | undefined;
};

/** Updates per learned record, and how many there are at least and at most, unless the user says otherwise. */
const stepsPerRecord = 1;
const [stepsMin, stepsMax] = [20, 2_000];
/** One record in so many is held out. */
const recordsPerGate = 8;
/** Most records held out by default, as many as a payload takes: with 64 the gate shuts out some 2 % of honest records and 3 in 4 of newcomers with one, with 256 under 1 % and 1 in 3. */
const gateRecordsMax = 256;
const recordsMaxDefault = 10_000;
/** Tokens of a row: one question with its answer fits many times, so that rows are full. */
const rowTokens = 256;

/** Settings of a training on `recordCount` records. Pure. Whether they are in range `settings.encode` says. */
export function settingsFor(choice: Choice, recordCount: number): settings.Settings {
  const trainRecordsMax = choice.recordsMax ?? recordsMaxDefault;
  const share = Math.floor(Math.min(recordCount, trainRecordsMax) / recordsPerGate);
  const gateRecords = choice.gateRecords ?? Math.min(gateRecordsMax, Math.max(1, share));
  const learned = Math.min(trainRecordsMax, Math.max(1, recordCount - gateRecords));
  const rank = choice.rank ?? 8;
  return {
    version: 2,
    name: choice.name,
    rank,
    alpha: choice.alpha ?? 2 * rank,
    isRankStabilized: false,
    targetModules: [...new Set(choice.targetModules ?? ["q_proj", "v_proj"])].sort(),
    schedule: {
      kind: "cosine",
      peak: choice.peak ?? 0.01,
      warmupSteps: 2,
      stepsMax: choice.steps ?? Math.min(stepsMax, Math.max(stepsMin, learned * stepsPerRecord)),
    },
    gradientNormMax: 1,
    rowTokens,
    rowCount: 2,
    runsPerStep: 1,
    seed: choice.seed ?? 1,
    waypoints: choice.waypoints ?? 0,
    template: "quote-closed-book-1",
    trainRecordsMax,
    gateRecords,
    // On the project's model the LDS of eFIM-dual is 0.55 by it, 0.55 by 0.01, 0.53 by 0.001, 0.45 by 0.1, 0.33 by 1 (EIPs, three seeds).
    damping: 0.003,
  };
}
