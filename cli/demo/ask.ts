import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import { PipelineError } from "#schema/errors";
import { openChannels, signVoucher } from "../chain/channel.ts";
import type { Chain } from "../chain/transactions.ts";
import { giveGas, pricePerCallWei } from "../up/bootstrap.ts";
import { accountOf, type Stack } from "../up/stack.ts";
import type { Question } from "./questions.ts";

/** Channels the questions are paid from, in turn. */
export const payerCount = 4;
/** Time one question may take through restarts of the node, in ms, and the wait between two tries. */
const questionMsMax = 180_000;
const retryMs = 500;

/** Opens one channel per payer with enough for `questionCount` questions in all. */
export async function openPayerChannels(chain: Chain, stack: Stack, questionCount: number): Promise<void> {
  const depositWei = pricePerCallWei * BigInt(Math.ceil(questionCount / payerCount));
  const labels = Array.from({ length: payerCount }, (_, index) => payerLabel(index));
  await giveGas(stack.rpcUrl, labels);
  await openChannels(chain, labels.map(accountOf), depositWei);
}

/** Answers the node has given, from its own rows: where a resumed demo goes on. */
export async function countAnswers(sql: Sql): Promise<number> {
  const [row] = await sql`select count(*)::int as count from serving.answer`;
  return row!.count as number;
}

/**
 * Asks questions `from` to `to` (exclusive), one after the other, so that receipts stand in the same order in every
 * run. A node that is down or restarts is asked again; a question it had answered is answered from its row.
 * @throws QuestionFailedError
 */
export async function ask(
  chain: Chain,
  stack: Stack,
  questions: readonly (Question & { model: string })[],
  range: { from: number; to: number },
): Promise<void> {
  for (let index = range.from; index < range.to; index++) {
    const voucher = await voucherOf(chain, index);
    await askOne(`http://127.0.0.1:${stack.ports.serving}/v1/chat/completions`, questions[index]!, voucher);
  }
}

async function askOne(
  url: string,
  { text: question, model }: { text: string; model: string },
  voucher: string,
): Promise<void> {
  let reason = "";
  for (const deadline = Date.now() + questionMsMax; Date.now() < deadline; await sleep(retryMs)) {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-payment-voucher": voucher },
        body: JSON.stringify({ model, messages: [{ role: "user", content: question }], seed: 1 }),
        signal: AbortSignal.timeout(questionMsMax),
      });
      reason = await response.text();
      if (response.ok) return;
      if (response.status === 400 || response.status === 404) break;
    } catch (error) {
      // The node is down; the supervisor starts it again, and the deadline bounds the wait.
      reason = String(error);
    }
  }
  throw new QuestionFailedError(question, reason);
}

/** Header of question `index`: its payer's voucher for all it has been charged by then. */
function voucherOf(chain: Chain, index: number): Promise<string> {
  const maxClaimableWei = pricePerCallWei * BigInt(Math.floor(index / payerCount) + 1);
  return signVoucher(chain, accountOf(payerLabel(index % payerCount)), maxClaimableWei);
}

function payerLabel(index: number): string {
  return `payer ${index + 1}`;
}

export class QuestionFailedError extends PipelineError {
  override readonly name = "QuestionFailedError";
  constructor(question: string, reason: string) {
    super(`"${question}" was not answered: ${reason.slice(0, 400)}`, {
      code: "question_failed",
      retryable: true,
    });
  }
}
