import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import {
  encodeAbiParameters,
  type Hex,
  keccak256,
  maxUint256,
  parseAbiParameters,
  toHex,
  zeroAddress,
} from "viem";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { openTokenAbi } from "#schema/abi/open-token";
import { PipelineError } from "#schema/errors";
import { type Call, type Chain, reach } from "../chain/transactions.ts";
import { giveGas, pricePerCallWei } from "../up/bootstrap.ts";
import { accountOf, modelName, type Stack } from "../up/stack.ts";
import type { Question } from "./questions.ts";

/** Channels the questions are paid from, in turn. */
export const payerCount = 4;
const withdrawDelaySeconds = 86_400;
/** Time one question may take through restarts of the node, in ms, and the wait between two tries. */
const questionMsMax = 180_000;
const retryMs = 500;

const configParameters = parseAbiParameters([
  "Config config",
  "struct Config { address payer; address payerAuthorizer; address receiver; address receiverAuthorizer; address token; uint40 withdrawDelay; bytes32 salt; }",
]);

/** Opens one channel per payer with enough for `questionCount` questions in all. */
export async function openChannels(chain: Chain, stack: Stack, questionCount: number): Promise<void> {
  const { openToken, channelEscrow } = chain.deployment.contracts;
  const depositWei = pricePerCallWei * BigInt(Math.ceil(questionCount / payerCount));
  const payers = Array.from({ length: payerCount }, (_, index) => accountOf(payerLabel(index)));
  const token = { to: openToken, abi: openTokenAbi };
  await giveGas(
    stack.rpcUrl,
    payers.map((_, index) => payerLabel(index)),
  );
  await reach(chain, "fund the payers", async () => {
    const calls: Call[] = [];
    for (const [index, { address }] of payers.entries()) {
      const read = { address: openToken, abi: openTokenAbi } as const;
      const wei = await chain.client.readContract({ ...read, functionName: "balanceOf", args: [address] });
      const allowed = await chain.client.readContract({
        ...read,
        functionName: "allowance",
        args: [address, channelEscrow],
      });
      const isOpen = await hasChannel(chain, index);
      if (wei < depositWei && !isOpen)
        calls.push({
          ...token,
          account: accountOf("deployer"),
          functionName: "transfer",
          args: [address, depositWei - wei],
        });
      if (allowed < depositWei && !isOpen)
        calls.push({
          ...token,
          account: payers[index]!,
          functionName: "approve",
          args: [channelEscrow, maxUint256],
        });
    }
    return calls;
  });
  await reach(chain, "open the channels", async () => {
    const isOpen = await Promise.all(payers.map((_, index) => hasChannel(chain, index)));
    return payers.flatMap((account, index): Call[] =>
      isOpen[index]
        ? []
        : [
            {
              account,
              to: channelEscrow,
              abi: channelEscrowAbi,
              functionName: "openChannel",
              args: [channelConfig(chain, index), depositWei],
            },
          ],
    );
  });
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
  questions: readonly Question[],
  range: { from: number; to: number },
): Promise<void> {
  for (let index = range.from; index < range.to; index++) {
    const voucher = await signVoucher(chain, index);
    await askOne(
      `http://127.0.0.1:${stack.ports.serving}/v1/chat/completions`,
      questions[index]!.text,
      voucher,
    );
  }
}

async function askOne(url: string, question: string, voucher: string): Promise<void> {
  let reason = "";
  for (const deadline = Date.now() + questionMsMax; Date.now() < deadline; await sleep(retryMs)) {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-payment-voucher": voucher },
        body: JSON.stringify({ model: modelName, messages: [{ role: "user", content: question }], seed: 1 }),
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
async function signVoucher(chain: Chain, index: number): Promise<string> {
  const payer = index % payerCount;
  const channelId = channelIdOf(chain, payer);
  const maxClaimableAmount = pricePerCallWei * BigInt(Math.floor(index / payerCount) + 1);
  const signature = await accountOf(payerLabel(payer)).signTypedData({
    domain: {
      name: "TributaryChannelEscrow",
      version: "1",
      chainId: chain.deployment.chainId,
      verifyingContract: chain.deployment.contracts.channelEscrow,
    },
    types: {
      Voucher: [
        { name: "channelId", type: "bytes32" },
        { name: "maxClaimableAmount", type: "uint128" },
      ],
    },
    primaryType: "Voucher",
    message: { channelId, maxClaimableAmount },
  });
  const json = { channelId, maxClaimableAmount: maxClaimableAmount.toString(), signature };
  return Buffer.from(JSON.stringify(json), "utf8").toString("base64");
}

async function hasChannel(chain: Chain, payer: number): Promise<boolean> {
  const address = chain.deployment.contracts.channelEscrow;
  const call = {
    address,
    abi: channelEscrowAbi,
    functionName: "configOf",
    args: [channelIdOf(chain, payer)],
  } as const;
  return (await chain.client.readContract(call)).payer !== zeroAddress;
}

function channelConfig(chain: Chain, payer: number) {
  const { settlementHub, openToken } = chain.deployment.contracts;
  return {
    payer: accountOf(payerLabel(payer)).address,
    payerAuthorizer: zeroAddress,
    receiver: settlementHub as Hex,
    receiverAuthorizer: accountOf("node").address,
    token: openToken as Hex,
    withdrawDelay: withdrawDelaySeconds,
    salt: keccak256(toHex("demo")),
  };
}

function channelIdOf(chain: Chain, payer: number): Hex {
  return keccak256(encodeAbiParameters(configParameters, [channelConfig(chain, payer)]));
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
