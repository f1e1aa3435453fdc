import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pc from "picocolors";
import { formatEther } from "viem";
import { PipelineError } from "#schema/errors";
import { UsageError, urlFrom } from "./arguments.ts";
import { type Closing, type Refusal, readNode, sendQuestion } from "./ask/node-client.ts";
import { hasChannel, openChannels, signVoucher } from "./chain/channel.ts";
import { type Chain, openChain } from "./chain/transactions.ts";
import type { Config } from "./config.ts";
import { readRunningConfig } from "./running.ts";
import { giveGas } from "./up/bootstrap.ts";
import { isDevelopment } from "./up/chain.ts";
import { accountOf, modelName } from "./up/stack.ts";

const help = `npm run tributary -- ask "<question>" [options]
  Asks the node that runs, streams the answer, and prints what it cites, the fee and the receipt. Paid by a development
  account from a channel that the first question opens and funds (development chain only).
  --model <name>      model, by alias or id (default: ${modelName})
  --voucher <base64>  a voucher of yours for one more call, on any chain (serving/README.md, Paying)
  --url <url>         the node's OpenAI base URL (default: the local node)`;

const options = {
  model: { type: "string", default: modelName },
  voucher: { type: "string" },
  url: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** Label of the development account that pays, and the questions its channel is funded for. */
const payerLabel = "asker";
const fundedQuestions = 10_000n;
/** Longest a new channel may take to become final, in ms, and between two looks. */
const finalMsMax = 120_000;
const lookMs = 500;
/** Vouchers signed anew for one question: another caller of the same account may come between. */
const signaturesMax = 5;

/** Signs for `maxWei` in all. */
type Sign = (maxWei: bigint) => Promise<string>;

/** @returns 0 once answered. @throws UsageError; the node's refusals as PipelineError with the remedy. */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const question = questionFrom(positionals);
  const config = readRunningConfig();
  const url = urlFrom(values.url ?? `http://127.0.0.1:${config.ports.serving}/v1`, "url").replace(/\/$/, "");
  const { feeWei } = await readNode(url, values.model);
  const sign = values.voucher === undefined ? await developmentPayer(config, feeWei) : given(values.voucher);
  const closing = await askPaid(sign, (voucher) =>
    sendQuestion(url, { model: values.model, question, voucher }, (piece) => process.stdout.write(piece)),
  );
  for (const line of closingLines(closing)) console.log(line);
  return 0;
}

/** One question, in one pair of quotes or as several words. @throws UsageError */
export function questionFrom(positionals: readonly string[]): string {
  const question = positionals.join(" ").trim();
  if (question === "") throw new UsageError('Give a question, as in: ask "What does zod do?"');
  return question;
}

/** What is said once the answer stands: sources, fee, receipt, and how to follow it. */
export function closingLines({ citations, receipt }: Closing): string[] {
  const sources = citations.map(
    ({ index, source, contributor, contribution_id, quote }) =>
      `  [${index}] ${source}  ${pc.dim(`contribution ${contribution_id} of ${contributor}`)}\n      "${quote}"`,
  );
  return [
    "\n",
    ...(sources.length > 0 ? ["sources", ...sources] : ["no sources: the answer quotes no passage"]),
    `fee      ${formatEther(receipt.fee)} OPEN`,
    `receipt  ${receipt.digest}`,
    "Once its batch is settled and scored (about a minute), who is paid for it:",
    `  npm run tributary -- trace ${receipt.digest}`,
  ];
}

/**
 * Asks with a voucher for nothing first: the refusal tells what to sign for, so that no book of charges is kept here.
 * @throws QuestionRefusedError; ChannelNotFinalError
 */
async function askPaid(sign: Sign, send: (voucher: string) => Promise<Closing | Refusal>): Promise<Closing> {
  let maxWei = 0n;
  let signatures = 0;
  for (const deadline = Date.now() + finalMsMax; Date.now() < deadline; ) {
    const answer = await send(await sign(maxWei));
    if (!("reason" in answer)) return answer;
    if (answer.reason === "voucher_too_low" && BigInt(answer.requiredMaxWei) !== maxWei) {
      if (++signatures > signaturesMax) throw new QuestionRefusedError(answer);
      maxWei = BigInt(answer.requiredMaxWei);
    } else if (answer.reason === "channel_unknown") await sleep(lookMs);
    else throw new QuestionRefusedError(answer);
  }
  throw new ChannelNotFinalError();
}

/** Signs with the development account, whose channel is opened where there is none. @throws NotDevelopmentError */
async function developmentPayer(config: Config, feeWei: bigint): Promise<Sign> {
  const rpcUrl = config.rpcUrl ?? `http://127.0.0.1:${config.ports.chain}`;
  if (!(await isDevelopment(rpcUrl))) throw new NotDevelopmentError(rpcUrl);
  const chain = openChain(rpcUrl, config.addressesFile ?? join(config.folder, "addresses.json"));
  const payer = accountOf(payerLabel);
  console.log(pc.dim(`paid by the development account "${payerLabel}" ${payer.address}`));
  if (!(await hasChannel(chain, payer))) await openChannel(chain, feeWei);
  return (maxWei) => signVoucher(chain, payer, maxWei);
}

async function openChannel(chain: Chain, feeWei: bigint): Promise<void> {
  const depositWei = feeWei * fundedQuestions;
  console.log(
    pc.dim(`its first question: opening a channel with ${formatEther(depositWei)} OPEN, final in seconds`),
  );
  await giveGas(chain.rpcUrl, [payerLabel]);
  await openChannels(chain, [accountOf(payerLabel)], depositWei);
}

function given(voucher: string): Sign {
  return async () => voucher;
}

export class NotDevelopmentError extends PipelineError {
  override readonly name = "NotDevelopmentError";
  constructor(rpcUrl: string) {
    super(
      `No development chain answers at ${rpcUrl}, so there is no development account to pay with. Open a channel with an account of yours, sign a voucher (serving/README.md, Paying) and give it: --voucher <base64>. Or set RPC_URL.`,
      { code: "not_development", retryable: false },
    );
  }
}

export class QuestionRefusedError extends PipelineError {
  override readonly name = "QuestionRefusedError";
  constructor({ reason, requiredMaxWei, remedy }: Refusal) {
    super(`The node wants to be paid: ${reason} (requiredMaxWei ${requiredMaxWei}). ${remedy}`, {
      code: "question_refused",
      retryable: false,
    });
  }
}

export class ChannelNotFinalError extends PipelineError {
  override readonly name = "ChannelNotFinalError";
  constructor() {
    super(`The channel was not final within ${finalMsMax / 1_000} s. Ask again; nothing was charged.`, {
      code: "channel_not_final",
      retryable: true,
    });
  }
}
