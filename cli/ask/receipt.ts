/** What a payer checks of a receipt before he signs another voucher. */
import type { Address, Hex } from "viem";
import { z } from "zod";
import { PipelineError } from "#schema/errors";
import * as commitments from "#settlement/blob/commitments";
import * as receipts from "#settlement/blob/receipt";

const bytes32 = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/)
  .transform((text) => text as Hex);
const address = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/)
  .transform((text) => text as Address);
const wei = z
  .string()
  .regex(/^\d{1,39}$/)
  .transform((text) => BigInt(text));
const count = z.int().min(0).max(0xffff_ffff);

/** The fields of receipt v1 as a node sends them, with digest and signature. */
export const receiptJson = z.object({
  requestId: bytes32,
  payer: address,
  node: address,
  modelId: bytes32,
  adapterSet: bytes32,
  inputCommit: bytes32,
  outputCommit: bytes32,
  retrievalCommit: bytes32,
  paramsHash: bytes32,
  profileHash: bytes32,
  provenanceMode: z.int().min(0).max(255),
  promptTokens: count,
  completionTokens: count,
  fee: wei,
  channelId: bytes32,
  cumulativeCharged: wei,
  servedAt: wei,
  digest: bytes32,
  signature: z.string().transform((text) => text as Hex),
});

/** What opens a receipt's inputCommit and outputCommit to who has question and answer. */
export const openingJson = z.object({
  input_salt: bytes32,
  output_salt: bytes32,
  answer_token_ids: z.array(count),
});

type Answered = {
  receipt: z.output<typeof receiptJson>;
  opening: z.output<typeof openingJson>;
  content: string;
  citations: readonly unknown[];
};

/** What was asked, and paid at most. `maxWei` is the voucher's, for the whole channel. */
export type Asked = {
  chainId: bigint;
  hub: Hex;
  node: Hex;
  channelId: Hex;
  maxWei: bigint;
  modelId: string;
  feeWei: bigint;
  question: string;
};

/**
 * That the node's receipt is about this question, this answer, this channel and this price, and is the node's: what
 * it is charged by, and what convicts the node where its batch says otherwise.
 * @throws ReceiptWrongError naming the first thing that is not so.
 */
export async function checkReceipt(asked: Asked, answered: Answered): Promise<void> {
  const { receipt } = answered;
  const { digest, signature, ...fields } = receipt;
  const wrong = wrongTerm(asked, receipt) ?? wrongCommitment(asked, answered);
  if (wrong !== null) throw new ReceiptWrongError(wrong, asked);
  const expected = receipts.digest({ chainId: asked.chainId, hub: asked.hub }, fields);
  if (digest !== expected)
    throw new ReceiptWrongError(`its digest is ${digest}, of its fields ${expected}`, asked);
  const signer = await receipts.signer(digest, signature);
  if (signer !== asked.node) throw new ReceiptWrongError(`it is signed by ${signer}, not by the node`, asked);
}

function wrongTerm(asked: Asked, receipt: Answered["receipt"]): string | null {
  const { fee, cumulativeCharged } = receipt;
  if (receipt.node !== asked.node)
    return `it names the node ${receipt.node}, the channel is for ${asked.node}`;
  if (receipt.channelId !== asked.channelId)
    return `it charges the channel ${receipt.channelId}, yours is ${asked.channelId}`;
  if (receipt.modelId !== asked.modelId)
    return `it names the model ${receipt.modelId}, you asked ${asked.modelId}`;
  if (fee !== asked.feeWei) return `its fee is ${fee} wei, the price quoted ${asked.feeWei}`;
  if (cumulativeCharged > asked.maxWei)
    return `it charges the channel ${cumulativeCharged} wei in all, your voucher is for ${asked.maxWei}`;
  // Such a receipt convicts nobody: the hub takes it for one that was not charged.
  if (cumulativeCharged < fee)
    return `it charges the channel ${cumulativeCharged} wei in all, less than its own fee`;
  return null;
}

function wrongCommitment(asked: Asked, { receipt, opening, content, citations }: Answered): string | null {
  const { input_salt, output_salt, answer_token_ids } = opening;
  if (commitments.inputCommit(input_salt, asked.question) !== receipt.inputCommit)
    return "its inputCommit is of another question";
  if (commitments.requestId(receipt) !== receipt.requestId) return "its requestId is not that of its fields";
  const marks = citations.map((_, index) => `[${index + 1}]`).join("");
  const end = marks === "" ? "" : ` ${marks}`;
  if (!content.endsWith(end)) return `the answer does not end with the marks of its citations,${end}`;
  const answer = content.slice(0, content.length - end.length);
  if (commitments.outputCommit(output_salt, answer, answer_token_ids) !== receipt.outputCommit)
    return "its outputCommit is of another answer";
  if (answer_token_ids.length !== receipt.completionTokens)
    return `it counts ${receipt.completionTokens} tokens of the answer, there are ${answer_token_ids.length}`;
  return null;
}

export class ReceiptWrongError extends PipelineError {
  override readonly name = "ReceiptWrongError";
  constructor(wrong: string, { node, channelId, maxWei }: Asked) {
    super(
      `The receipt of the answer is wrong: ${wrong}. Sign no further voucher for channel ${channelId}: the node ${node} can claim no more than the ${maxWei} wei in all that you signed for. Keep question, answer and receipt, take the rest back (ChannelEscrow.initiateWithdraw, then finalizeWithdraw) and ask another node.`,
      { code: "receipt_wrong", retryable: false },
    );
  }
}
