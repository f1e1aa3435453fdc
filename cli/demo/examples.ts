import type { Sql } from "postgres";
import type { Hex } from "viem";
import type { Question } from "./questions.ts";

/** Commands to try on a demo that stays up: a question whose answer quotes what was asked about, and a claim to follow. */
export async function readExamples(
  sql: Sql,
  questions: readonly Question[],
  claimHash: Hex,
): Promise<string[]> {
  const rows = await sql<{ position: number; quote: string }[]>`
    select position, response->'citations'->0->>'quote' as quote from (
      select row_number() over (order by sequence)::int - 1 as position, response from serving.answer) as answered
    where response->'choices'->0->>'finish_reason' = 'stop' and jsonb_array_length(response->'citations') = 1
    order by position desc`;
  const right = rows.find(({ position, quote }) => questions[position]?.passage.text.includes(quote));
  const question = questions[(right ?? rows[0])?.position ?? 0];
  return [
    ...(question === undefined ? [] : [`ask "${question.text}"`]),
    `trace ${claimHash}`,
    `verify ${claimHash}`,
  ].map((command) => `npm run tributary -- ${command}`);
}
