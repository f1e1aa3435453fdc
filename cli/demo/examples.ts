import type { Sql } from "postgres";
import { formatEther, type Hex } from "viem";
import type { Question } from "./questions.ts";
import type { RowPayout } from "./report.ts";

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
  ].map((command) => commandOf([command]));
}

/** What to type for it. */
export function commandOf(args: readonly string[]): string {
  return `npm run tributary -- ${args.join(" ")}`;
}

/** Arguments that tell a training row's payout with all its entries. */
export function traceOf({ claimTx, account }: RowPayout): string[] {
  return ["trace", claimTx, "--account", account, "--all"];
}

/** A payout that leads to a training row, and how to follow it; or that none was paid. */
export function rowLines(row: RowPayout | null, model: string): string[] {
  if (row === null) return [`no training row of adapter ${model} was paid: none passed its gate and helped`];
  const { amountWei, account, chunkId } = row;
  return [
    `a training row of adapter ${model} earned ${formatEther(amountWei)} OPEN for ${account}: ${chunkId}`,
    `  every hop of it, beside a demo left running (--keep): ${commandOf(traceOf(row))}`,
  ];
}
