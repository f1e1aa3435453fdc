import { createHmac } from "node:crypto";
import { type Hex, numberToBytes } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import * as commitments from "#settlement/blob/commitments";
import * as disclosure from "#settlement/blob/disclosure";
import * as receipt from "#settlement/blob/receipt";

/** What the node states about one answer before it signs. `cumulativeChargedWei` includes this call. */
export type Statement = {
  payer: Hex;
  modelId: Hex;
  /** Artifact hashes of the adapters it followed, in the order applied. */
  adapterHashes: readonly Hex[];
  profileHash: Hex;
  provenanceMode: number;
  channelId: Hex;
  cumulativeChargedWei: bigint;
  feeWei: bigint;
  question: string;
  answer: string;
  promptTokens: number;
  answerTokenIds: readonly number[];
  candidates: readonly disclosure.Candidate[];
  params: disclosure.DecodingParams;
  /** Unix seconds. */
  servedAt: bigint;
};

/** What the payer, who has question and answer, still needs to check that the receipt is about them. */
export type Opening = { inputSalt: Hex; outputSalt: Hex; answerTokenIds: readonly number[] };

/** A signed receipt with what opens its commitments. */
export type IssuedReceipt = {
  receipt: receipt.Receipt;
  digest: Hex;
  signature: Hex;
  disclosure: Hex;
  opening: Opening;
};

/** Signs the node's receipts. Holds the key; everything it returns may be published in mode `public`. */
export type ReceiptIssuer = {
  /** requestId a question gets at a charge, before there is an answer: what makes a repeated request recognisable. */
  requestId: (request: { channelId: Hex; cumulativeChargedWei: bigint; question: string }) => Hex;
  issue: (statement: Statement) => Promise<IssuedReceipt>;
};

/**
 * Receipts v1 of docs/formats.md, signed by `account` for one hub on one chain.
 * Salts are HMAC-SHA256(secret, label ‖ channelId ‖ cumulativeCharged as 32 bytes): nobody else can guess them, and
 * the same question at the same charge gets the same receipt after a restart. The secret is derived from the key.
 */
export function createIssuer(
  account: PrivateKeyAccount,
  key: Hex,
  scope: receipt.ReceiptScope,
): ReceiptIssuer {
  const secret = hmac(Buffer.from(key.slice(2), "hex"), Buffer.from("tributary receipt salts v1"));
  const salt = (label: "input" | "output", channelId: Hex, cumulativeChargedWei: bigint): Hex => {
    const place = [Buffer.from(channelId.slice(2), "hex"), numberToBytes(cumulativeChargedWei, { size: 32 })];
    return `0x${hmac(secret, Buffer.concat([Buffer.from(label), ...place])).toString("hex")}`;
  };
  return {
    requestId: ({ channelId, cumulativeChargedWei, question }) => {
      const inputCommit = commitments.inputCommit(salt("input", channelId, cumulativeChargedWei), question);
      return commitments.requestId({ channelId, cumulativeCharged: cumulativeChargedWei, inputCommit });
    },
    issue: async (statement) => {
      const { channelId, cumulativeChargedWei } = statement;
      const inputSalt = salt("input", channelId, cumulativeChargedWei);
      const outputSalt = salt("output", channelId, cumulativeChargedWei);
      const message = receiptOf(statement, account.address.toLowerCase() as Hex, { inputSalt, outputSalt });
      const { question, answer, answerTokenIds, candidates, params } = statement;
      return {
        receipt: message,
        digest: receipt.digest(scope, message),
        signature: await account.signTypedData(receipt.typedData(scope, message)),
        opening: { inputSalt, outputSalt, answerTokenIds },
        disclosure: disclosure.encode({
          question,
          answer,
          answerTokenIds,
          candidates,
          inputSalt,
          outputSalt,
          params,
        }),
      };
    },
  };
}

function receiptOf(s: Statement, node: Hex, salts: { inputSalt: Hex; outputSalt: Hex }): receipt.Receipt {
  const inputCommit = commitments.inputCommit(salts.inputSalt, s.question);
  return {
    requestId: commitments.requestId({
      channelId: s.channelId,
      cumulativeCharged: s.cumulativeChargedWei,
      inputCommit,
    }),
    payer: s.payer,
    node,
    modelId: s.modelId,
    adapterSet: commitments.adapterSet(s.adapterHashes),
    inputCommit,
    outputCommit: commitments.outputCommit(salts.outputSalt, s.answer, s.answerTokenIds),
    retrievalCommit: commitments.retrievalCommit(s.candidates),
    paramsHash: commitments.paramsHash(s.params),
    profileHash: s.profileHash,
    provenanceMode: s.provenanceMode,
    promptTokens: s.promptTokens,
    completionTokens: s.answerTokenIds.length,
    fee: s.feeWei,
    channelId: s.channelId,
    cumulativeCharged: s.cumulativeChargedWei,
    servedAt: s.servedAt,
  };
}

function hmac(key: Uint8Array, data: Uint8Array): Buffer {
  return createHmac("sha256", key).update(data).digest();
}
