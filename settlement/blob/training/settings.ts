import { z } from "zod";
import type { Decoded } from "#schema/errors";

/** Most rows that are learned, so that they fit into a blob of a megabyte and are decoded in a second, and held out. */
export const trainRowsMax = 30_000;
export const gateRowsMax = 256;

/** Most states on the way that a payload keeps. */
export const waypointsMax = 16;

/** Most characters of settings. */
const charactersMax = 16_384;

const fields = z.strictObject({
  version: z.literal(2),
  /** The model's name in the registry: part of its id. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  rank: z.int().min(1).max(1_024),
  alpha: z.number().positive().max(65_536),
  isRankStabilized: z.boolean(),
  /** Ascending ends of module names, as `q_proj`. */
  targetModules: z
    .array(z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/))
    .min(1)
    .max(64),
  schedule: z.strictObject({
    kind: z.enum(["constant", "linear", "cosine"]),
    peak: z.number().positive().max(1),
    warmupSteps: z.int().min(0).max(1_000_000),
    stepsMax: z.int().min(1).max(1_000_000),
  }),
  gradientNormMax: z.number().positive().max(1_000_000),
  rowTokens: z.int().min(16).max(131_072),
  rowCount: z.int().min(1).max(1_024),
  runsPerStep: z.int().min(1).max(1_024),
  seed: z.int().min(0),
  /** States on the way that are kept beside the adapter: after equal parts of the steps, the last at the end. */
  waypoints: z.int().min(0).max(waypointsMax),
  /** How a record becomes what is learned (examples.ts). */
  template: z.literal("quote-closed-book-1"),
  /** Most records learned, and how many are held out first (rows.ts). */
  trainRecordsMax: z.int().min(1).max(trainRowsMax),
  gateRecords: z.int().min(1).max(gateRowsMax),
  /** λ = damping · mean |g|² of each LoRA matrix; one of four, so that no owner tunes it to his own records. */
  damping: z.union([z.literal(1), z.literal(0.1), z.literal(0.01), z.literal(0.003)]),
});

const schema = fields.refine(({ waypoints, schedule }) => waypoints <= schedule.stepsMax, {
  error: "there are no more waypoints than steps",
  path: ["waypoints"],
});

/** What decides a training beside its rows and its base model. */
export type Settings = z.infer<typeof schema>;

/** Updates after which a state is kept, ascending; none, or the last is after all of them. */
export function waypointSteps({ waypoints, schedule: { stepsMax } }: Settings): number[] {
  return Array.from({ length: waypoints }, (_, i) => Math.floor(((i + 1) * stepsMax) / waypoints));
}

/** Canonical JSON: keys in ascending order at every depth, no spaces. @throws ZodError for settings outside their ranges. */
export function encode(settings: Settings): string {
  return canonical(schema.parse(settings));
}

/** Settings of a stranger's text, which must be the canonical one. */
export function decode(text: string): Decoded<Settings> {
  if (text.length > charactersMax)
    return { ok: false, reason: `${text.length} characters, at most ${charactersMax}` };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // What is no JSON is a stranger's error, and a reason.
    return { ok: false, reason: "no JSON" };
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) return { ok: false, reason: z.prettifyError(parsed.error).split("\n").join(" ") };
  return canonical(parsed.data) === text
    ? { ok: true, value: parsed.data }
    : { ok: false, reason: "not the canonical JSON" };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
