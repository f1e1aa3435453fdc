import type { Hex } from "viem";
import type { FoundBy } from "#schema/estimators";
import type { Pool } from "./pool.ts";
import { type Estimator, estimate, needsSeed } from "./score/estimate.ts";
import { quantise, toWad } from "./score/quantise.ts";
import { playersMax } from "./score/shapley.ts";
import { playerValues, scalePassages } from "./score/total.ts";

/** What is scored: an answer and the passages it had, in prompt order. */
export type Answered = {
  question: string;
  answer: string;
  answerTokenIds: readonly number[];
  passages: readonly Passage[];
};

/** A chunk in the prompt. Passages of one class of duplicates are one player, named by the class's first chunk. */
export type Passage = { text: string; classId: Hex; similarityMicro: bigint };

/**
 * How values become influences: the estimator, and the seed of what it draws, asked for only where it draws.
 * `exactPlayersMax` is for audits: exact where the published score is of drawn orders.
 */
export type Way = { estimator: Estimator; seed: () => Promise<Hex>; exactPlayersMax?: number };

/** Score of an answer; values and influences in wad of nats, `influences` in the order of the players. */
export type Score = {
  valueBaseWad: bigint;
  valueContextWad: bigint;
  valueAdapterWad: bigint;
  valueBothWad: bigint;
  dataShareWad: bigint;
  unexplainedWad: bigint;
  influences: Influence[];
};

/** `standardErrorWad` is zero where the score is exact, null where nobody knows it. */
export type Influence = {
  chunkId: Hex;
  scoreWad: bigint;
  standardErrorWad: bigint | null;
  estimator: FoundBy;
};

export type Scored =
  | { ok: true; score: Score }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** `pool` is null for a black-box model, which is asked nothing. */
export type Asked = { pool: Pick<Pool, "values"> | null; signal?: AbortSignal };

/**
 * Score one answer: v(S) of the coalitions of players the estimator asks for, then integers.
 * Refused where the tokens do not spell the answer, or the model cannot read them; never for what they say.
 */
export async function scoreAnswer(asked: Asked, answered: Answered, way: Way): Promise<Scored> {
  if (answered.answerTokenIds.length === 0) return refused("tokens_missing", "the answer has no tokens");
  const players = playersOf(answered.passages);
  const { exactPlayersMax = playersMax } = way;
  const seed = needsSeed(way.estimator, players.length, exactPlayersMax) ? await way.seed() : "0x";
  const similaritiesMicro = players.map(({ similarityMicro }) => similarityMicro);
  const estimating = estimate(way.estimator, { similaritiesMicro, seed, exactPlayersMax });
  let step = estimating.next();
  while (!step.done) {
    const values = await valuesOf(asked, answered, players, step.value);
    if (!values.ok) return values;
    step = estimating.next(values.micro);
  }
  const { emptyMicro, fullMicro, estimator } = step.value;
  // Without an adapter: the context is the only player.
  const values = playerValues({
    ...{ baseMicro: emptyMicro, adapterMicro: emptyMicro },
    ...{ contextMicro: fullMicro, bothMicro: fullMicro },
  });
  const { influencesMicro, standardErrorsMicro } = scalePassages(step.value, values);
  const [baseWad, contextWad] = [toWad(emptyMicro), toWad(fullMicro)];
  const score = {
    valueBaseWad: baseWad,
    valueContextWad: contextWad,
    valueAdapterWad: baseWad,
    valueBothWad: contextWad,
    dataShareWad: values.dataShareWad,
    unexplainedWad: 0n,
    influences: players.map(({ classId }, i) => ({
      chunkId: classId,
      scoreWad: toWad(influencesMicro[i]!),
      standardErrorWad: wadOf(standardErrorsMicro[i]!),
      estimator,
    })),
  };
  return { ok: true, score };
}

/** Micro-nats of an error that may be unknown → wad. */
export function wadOf(errorMicro: bigint | null): bigint | null {
  return errorMicro === null ? null : toWad(errorMicro);
}

type Player = { classId: Hex; positions: ReadonlySet<number>; similarityMicro: bigint };

/** One player per class, in the order of its first passage; its similarity is the highest of its passages. */
function playersOf(passages: readonly Passage[]): Player[] {
  const byClass = Map.groupBy(
    passages.map((passage, position) => ({ ...passage, position })),
    ({ classId }) => classId,
  );
  return [...byClass].map(([classId, members]) => ({
    classId,
    positions: new Set(members.map(({ position }) => position)),
    similarityMicro: members.map((member) => member.similarityMicro).sort((x, y) => (x > y ? -1 : 1))[0]!,
  }));
}

type Micro = { ok: true; micro: bigint[] } | Extract<Scored, { ok: false }>;

/** v of each coalition: the passages of its players, in prompt order. */
async function valuesOf(
  { pool, signal }: Asked,
  { question, answer, answerTokenIds, passages }: Answered,
  players: readonly Player[],
  masks: readonly number[],
): Promise<Micro> {
  signal?.throwIfAborted();
  if (pool === null) return refused("model_unavailable", "the estimator needs the model's log-probabilities");
  const contexts = masks.map((mask) => {
    const inside = players.filter((_, player) => (mask >> player) & 1);
    return passages
      .filter((_, at) => inside.some(({ positions }) => positions.has(at)))
      .map(({ text }) => text);
  });
  const values = await pool.values({ question, contexts, answerTokenIds });
  if (!values.ok) return values;
  if (values.answer !== answer.replace(/\s+/gu, " ").trim()) {
    return refused("answer_mismatch", "the answer's tokens spell another text");
  }
  return { ok: true, micro: values.nats.map(quantise) };
}

function refused(code: string, reason: string): Extract<Scored, { ok: false }> {
  return { ok: false, code, reason, retryable: false };
}
