import type { Pool } from "./pool.ts";
import { dataShare, quantise, toWad } from "./score/quantise.ts";
import { shapley, subsets } from "./score/shapley.ts";

/** What is scored: an answer and the passages it had, in prompt order. */
export type Answered = {
  question: string;
  answer: string;
  answerTokenIds: readonly number[];
  passages: readonly string[];
};

/** Score of an answer; values and influences in wad of nats, `influences` in the order of the passages. */
export type Score = {
  valueBaseWad: bigint;
  valueContextWad: bigint;
  valueAdapterWad: bigint;
  valueBothWad: bigint;
  dataShareWad: bigint;
  unexplainedWad: bigint;
  influences: Influence[];
};

export type Influence = { scoreWad: bigint; standardErrorWad: bigint; estimator: string };

export type Scored =
  | { ok: true; score: Score }
  | { ok: false; code: string; reason: string; retryable: boolean };

/**
 * Score one answer: v(S) for every subset of its passages in one batch of prompts, then integers.
 * Refused where the tokens do not spell the answer, or the model cannot read them; never for what they say.
 */
export async function scoreAnswer(pool: Pick<Pool, "values">, answered: Answered): Promise<Scored> {
  const { question, answer, answerTokenIds, passages } = answered;
  if (answerTokenIds.length === 0) return refused("tokens_missing", "the answer has no tokens");
  const values = await pool.values({ question, contexts: subsets(passages), answerTokenIds });
  if (!values.ok) return values;
  if (values.answer !== answer.replace(/\s+/gu, " ").trim()) {
    return refused("answer_mismatch", "the answer's tokens spell another text");
  }
  const micro = values.nats.map(quantise);
  const [empty, full] = [micro[0]!, micro.at(-1)!];
  const [baseWad, contextWad] = [toWad(empty), toWad(full)];
  const score = {
    valueBaseWad: baseWad,
    valueContextWad: contextWad,
    valueAdapterWad: baseWad,
    valueBothWad: contextWad,
    dataShareWad: dataShare(empty, full),
    unexplainedWad: 0n,
    influences: shapley(micro).map((influence) => ({
      scoreWad: toWad(influence),
      standardErrorWad: 0n,
      estimator: "shapley-exact",
    })),
  };
  return { ok: true, score };
}

function refused(code: string, reason: string): Scored {
  return { ok: false, code, reason, retryable: false };
}
