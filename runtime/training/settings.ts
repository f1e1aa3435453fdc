import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { type Device, devices } from "#runtime/inference/device";
import { isObject } from "#runtime/request";
import { type AdamW, adamWDefaults } from "./adamw.ts";
import { stateBitsAllowed } from "./moment.ts";
import { type Schedule, scheduleKinds } from "./schedule.ts";

/** What decides the result: the same settings, examples and model give the same adapter, bit for bit on one kind of machine. */
export interface TrainSettings {
  readonly schedule: Schedule;
  readonly optimizer?: AdamW;
  /** Largest L2 norm of all gradients together, default 1; Infinity clips nothing. */
  readonly gradientNormMax?: number;
  /** Tokens of one row; no example may be longer. */
  readonly rowTokens: number;
  /** Rows of one run of the graph: memory grows with them. */
  readonly rowCount: number;
  /** Runs whose gradients make one update. */
  readonly runsPerStep: number;
  /** What computes, default `cpu`. A GPU is one training's or model's at a time, in the main thread of a process. */
  readonly device?: Device;
  /** u64 of the order of examples. */
  readonly seed: bigint;
  /** Stop when this many evaluations in a row were no better than the best. Needs an evaluation set. */
  readonly patience?: number;
  /** Updates between evaluations, and between checkpoints. */
  readonly stepsPerEvaluation?: number;
}

/** Most tokens of one run of the train graph, padding included. */
export const runTokensMax = 2 ** 20;

/** Most updates of one training, and most of each other count. */
const countMax = 10_000_000;

/** Refuse settings that cannot train, or only ruin the adapter. @throws TrainSettingsError naming the first. */
export function checkSettings(
  settings: TrainSettings & {
    readonly examples: readonly unknown[];
    readonly evaluationExamples?: readonly unknown[];
    readonly runBytesMax?: number;
  },
): void {
  const check = (holds: boolean, field: string, allowed: string, given: unknown) => {
    if (!holds) throw new TrainSettingsError(field, allowed, given);
  };
  check(isObject(settings), "options", "an object", settings);
  const { rowTokens, rowCount, runsPerStep, patience, stepsPerEvaluation, seed, schedule } = settings;
  check(isObject(schedule), "schedule", "an object", schedule);
  const { examples, evaluationExamples = [] } = settings;
  for (const [field, list] of Object.entries({ examples, evaluationExamples })) {
    check(Array.isArray(list), field, "a list of examples", list);
  }
  const counts = { rowTokens, rowCount, runsPerStep, stepsMax: schedule.stepsMax };
  const optional = { stepsPerEvaluation: stepsPerEvaluation ?? 1, patience: patience ?? 1 };
  for (const [field, given] of Object.entries({
    ...counts,
    ...optional,
    examples: examples.length,
  })) {
    check(isCount(given, 1), field, `a whole number from 1 to ${countMax}`, given);
  }
  const tokens = rowTokens * rowCount;
  check(tokens <= runTokensMax, "rowCount", `at most ${runTokensMax} tokens in its rows together`, tokens);
  const { kind, peak, warmupSteps } = schedule;
  check(scheduleKinds.includes(kind), "schedule.kind", scheduleKinds.join(" or "), kind);
  check(isWithin(peak, 0, 1), "schedule.peak", "a number from 0 to 1", peak);
  check(isCount(warmupSteps, 0), "schedule.warmupSteps", `a whole number from 0 to ${countMax}`, warmupSteps);
  const { gradientNormMax = 1, optimizer = adamWDefaults, device = "cpu" } = settings;
  check(devices.includes(device), "device", devices.join(" or "), device);
  check(gradientNormMax > 0, "gradientNormMax", "a number above 0", gradientNormMax);
  const { runBytesMax = 0 } = settings;
  const isBytes = Number.isSafeInteger(runBytesMax) && runBytesMax >= 0;
  check(isBytes, "runBytesMax", "a whole number from 0", runBytesMax);
  check(isObject(optimizer), "optimizer", "an object", optimizer);
  checkOptimizer(optimizer, check);
  check(isSeed(seed), "seed", "an unsigned 64-bit integer", seed);
  const isEvaluated = patience === undefined || evaluationExamples.length > 0;
  check(isEvaluated, "patience", "with evaluation examples only", patience);
}

function checkOptimizer(
  { beta1, beta2, epsilon, weightDecay, stateBits = 32 }: AdamW,
  check: (holds: boolean, field: string, allowed: string, given: unknown) => void,
): void {
  for (const [field, beta] of Object.entries({ beta1, beta2 })) {
    check(isWithin(beta, 0, 1) && beta < 1, `optimizer.${field}`, "a number from 0 to below 1", beta);
  }
  const isEpsilon = isWithin(epsilon, 0, 1) && epsilon > 0;
  check(isEpsilon, "optimizer.epsilon", "a number above 0, up to 1", epsilon);
  check(isWithin(weightDecay, 0, 1), "optimizer.weightDecay", "a number from 0 to 1", weightDecay);
  check(
    stateBitsAllowed.includes(stateBits),
    "optimizer.stateBits",
    stateBitsAllowed.join(" or "),
    stateBits,
  );
}

function isCount(given: number, min: number): boolean {
  return Number.isSafeInteger(given) && given >= min && given <= countMax;
}

function isWithin(given: number, min: number, max: number): boolean {
  return typeof given === "number" && given >= min && given <= max;
}

function isSeed(seed: bigint): boolean {
  return typeof seed === "bigint" && seed >= 0n && seed < 2n ** 64n;
}

/** A setting outside its range. `field` names it. */
export class TrainSettingsError extends ModelRuntimeError {
  readonly field: string;

  constructor(field: string, allowed: string, given: unknown) {
    super("request-invalid", `${field}: allowed is ${allowed}. Given: ${excerpt(given)}.`);
    this.field = field;
  }
}
