import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pc from "picocolors";
import { formatEther, type Hex } from "viem";
import { PipelineError } from "#schema/errors";
import { decode } from "#serving/payment/voucher";
import { UsageError, urlFrom } from "./arguments.ts";
import {
  type Closing,
  type Refusal,
  readNode,
  readTerms,
  sendQuestion,
  type Terms,
} from "./ask/node-client.ts";
import { checkReceipt } from "./ask/receipt.ts";
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

/** Signs for `maxWei` in all, under the terms of the channel. */
type Payer = { sign: (maxWei: bigint) => Promise<string>; terms: Terms };

/**
 * @returns 0 once answered and the receipt is right.
 * @throws UsageError; ReceiptWrongError; the node's refusals as PipelineError with the remedy.
 */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const question = questionFrom(positionals);
  const config = readRunningConfig();
  const url = urlFrom(values.url ?? `http://127.0.0.1:${config.ports.serving}/v1`, "url").replace(/\/$/, "");
  const { model } = values;
  const quoted = await readNode(url, model);
  const { sign, terms } =
    values.voucher === undefined
      ? await developmentPayer(config, quoted.feeWei)
      : { sign: async () => values.voucher!, terms: await readTerms(url, model) };
  const { voucher, closing } = await askPaid(sign, (voucher) =>
    sendQuestion(url, { model, question, voucher }, (piece) => process.stdout.write(piece)),
  );
  await checkReceipt({ ...terms, ...quoted, ...dueOf(voucher), question }, closing);
  for (const line of closingLines(closing)) console.log(line);
  return 0;
}

/** What a voucher is for. @throws UsageError where it is none. */
function dueOf(header: string): { channelId: Hex; maxWei: bigint } {
  const voucher = decode(header);
  if (!voucher.ok) throw new UsageError(`--voucher: ${voucher.reason}.`);
  return { channelId: voucher.value.channelId, maxWei: voucher.value.maxClaimableWei };
}

/**
 * One question, in one pair of quotes or as several words; white space folded, as the node does before it commits to it.
 * @throws UsageError
 */
export function questionFrom(positionals: readonly string[]): string {
  const question = positionals.join(" ").replace(/\s+/gu, " ").trim();
  if (question === "") throw new UsageError('Give a question, as in: ask "What does zod do?"');
  return question;
}

/** What is said once the answer stands: sources, fee, receipt, and how to follow it. */
export function closingLines({
  citations,
  receipt,
}: Pick<Closing, "citations"> & { receipt: { fee: bigint; digest: string } }): string[] {
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
async function askPaid(
  sign: Payer["sign"],
  send: (voucher: string) => Promise<Closing | Refusal>,
): Promise<{ voucher: string; closing: Closing }> {
  let maxWei = 0n;
  let signatures = 0;
  for (const deadline = Date.now() + finalMsMax; Date.now() < deadline; ) {
    const voucher = await sign(maxWei);
    const answer = await send(voucher);
    if (!("reason" in answer)) return { voucher, closing: answer };
    if (answer.reason === "voucher_too_low" && BigInt(answer.requiredMaxWei) !== maxWei) {
      if (++signatures > signaturesMax) throw new QuestionRefusedError(answer);
      maxWei = BigInt(answer.requiredMaxWei);
    } else if (answer.reason === "channel_unknown") await sleep(lookMs);
    else throw new QuestionRefusedError(answer);
  }
  throw new ChannelNotFinalError();
}

/** Signs with the development account, whose channel is opened where there is none. @throws NotDevelopmentError */
async function developmentPayer(config: Config, feeWei: bigint): Promise<Payer> {
  const rpcUrl = config.rpcUrl ?? `http://127.0.0.1:${config.ports.chain}`;
  if (!(await isDevelopment(rpcUrl))) throw new NotDevelopmentError(rpcUrl);
  const chain = openChain(rpcUrl, config.addressesFile ?? join(config.folder, "addresses.json"));
  const payer = accountOf(payerLabel);
  console.log(pc.dim(`paid by the development account "${payerLabel}" ${payer.address}`));
  if (!(await hasChannel(chain, payer))) await openChannel(chain, feeWei);
  const { chainId, contracts } = chain.deployment;
  const node = accountOf("node").address.toLowerCase() as Hex;
  return {
    sign: (maxWei) => signVoucher(chain, payer, maxWei),
    terms: { chainId: BigInt(chainId), hub: contracts.settlementHub as Hex, node },
  };
}

async function openChannel(chain: Chain, feeWei: bigint): Promise<void> {
  const depositWei = feeWei * fundedQuestions;
  console.log(
    pc.dim(`its first question: opening a channel with ${formatEther(depositWei)} OPEN, final in seconds`),
  );
  await giveGas(chain.rpcUrl, [payerLabel]);
  await openChannels(chain, [accountOf(payerLabel)], depositWei);
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
