import { hybridInfluence } from "../influence/trajectory.ts";
import { type Pool, PoolTaskError } from "../pool.ts";
import { quantise, toWad } from "../score/quantise.ts";
import { type PlayerValues, playerValues, scalePassages } from "../score/total.ts";
import { type Answered, type Influence, type Score, scoreAnswer, type Way, wadOf } from "../value.ts";
import { recordInfluences } from "./influence.ts";
import type { OpenedAdapter } from "./store.ts";
import type { Query } from "./tasks.ts";

/** Influence of a training record on one answer. */
export type RecordInfluence = Influence;

export type AdapterScored =
  | { ok: true; score: Score; records: RecordInfluence[] }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** Published values are multiples of a micro-nat. */
const microWad = toWad(1n);

/**
 * Score an answer that followed an adapter. Passages are a game under the adapter, the model that answered; base and
 * context are asked of the base alone. Context and adapter are two players over these four values: passages are stretched
 * to what the context is worth, training records shrunk to what the adapter is (score/total.ts).
 */
export async function scoreAdapterAnswer(
  { pool, signal }: { pool: Pool; signal: AbortSignal },
  adapter: OpenedAdapter,
  answered: Answered,
  way: Way,
): Promise<AdapterScored> {
  const { files, records, estimator } = adapter;
  const { question, answerTokenIds } = answered;
  const passages = answered.passages.map(({ text }) => text);
  const adapted: Pick<Pool, "values"> = { values: (task) => pool.values({ ...task, adapter: files }) };
  const scored = await scoreAnswer({ pool: adapted, signal }, answered, way);
  if (!scored.ok) return isOurs(scored.code) ? { ...scored, retryable: true } : scored;
  const alone = await pool.values({ question, contexts: [[], passages], answerTokenIds });
  if (!alone.ok) return alone;
  const [baseMicro, contextMicro] = alone.nats.map(quantise) as [bigint, bigint];
  const adapterMicro = scored.score.valueBaseWad / microWad;
  const bothMicro = scored.score.valueContextWad / microWad;
  const players = playerValues({ baseMicro, contextMicro, adapterMicro, bothMicro });
  const asked = await recordScores(pool, adapter, {
    query: { question, passages, answerTokenIds },
    text: `${question} ${answered.answer}`,
  });
  if (!asked.ok) return asked;
  const found = recordInfluences(asked.scores, players.adapterMicro);
  if (found === null)
    return { ok: false, code: "not-finite", reason: "an influence is no number", retryable: false };
  return {
    ok: true,
    score: {
      valueBaseWad: toWad(baseMicro),
      valueContextWad: toWad(contextMicro),
      valueAdapterWad: toWad(adapterMicro),
      valueBothWad: toWad(bothMicro),
      dataShareWad: players.dataShareWad,
      unexplainedWad: toWad(found.unexplainedMicro),
      influences: stretch(scored.score.influences, players),
    },
    records: found.listed.map(({ index, influenceMicro }) => ({
      chunkId: records[index]!.chunkId,
      scoreWad: toWad(influenceMicro),
      standardErrorWad: null,
      estimator,
    })),
  };
}

type Scores = { ok: true; scores: Float64Array } | Extract<AdapterScored, { ok: false }>;
/** `text` is what the query says, for methods that compare texts. */
type Asked = { query: Query; text: string };

/**
 * Scores of all records for one query by the adapter's method. A store that is damaged is thrown away: the next try makes it
 * anew.
 */
export async function recordScores(
  pool: Pool,
  { shape, states, store, tokensMax, storeMethod, similarities, discard }: OpenedAdapter,
  { query, text }: Asked,
): Promise<Scores> {
  try {
    const { scores } = await pool.run({
      ...({ kind: "record-scores", adapters: states, method: storeMethod } as const),
      ...{ store, query, tokensMax, shape },
    });
    return { ok: true, scores: similarities === null ? scores : hybridInfluence(scores, similarities(text)) };
  } catch (error) {
    if (!(error instanceof PoolTaskError)) throw error;
    const { code, message: reason } = error;
    if (code.startsWith("store-")) await discard();
    return { ok: false, code, reason, retryable: error.retryable || isOurs(code) };
  }
}

/** Files of an adapter that was accepted, and stores, fail for what happened on this machine: never the receipt's fault. */
export function isOurs(code: string): boolean {
  return /^(store|adapter|optimizer)-/.test(code);
}

/** Passages and their standard errors stretched to the context's value. */
function stretch(influences: readonly Influence[], players: PlayerValues): Influence[] {
  const { influencesMicro, standardErrorsMicro } = scalePassages(
    {
      influencesMicro: influences.map(({ scoreWad }) => scoreWad / microWad),
      standardErrorsMicro: influences.map(
        ({ standardErrorWad }) => standardErrorWad && standardErrorWad / microWad,
      ),
    },
    players,
  );
  return influences.map((influence, i) => ({
    ...influence,
    scoreWad: toWad(influencesMicro[i]!),
    standardErrorWad: wadOf(standardErrorsMicro[i]!),
  }));
}
