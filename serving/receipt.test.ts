import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import * as commitments from "#settlement/blob/commitments";
import * as disclosures from "#settlement/blob/disclosure";
import * as receiptCodec from "#settlement/blob/receipt";
import { createIssuer, type Statement } from "./receipt.ts";

const key = keccak256(toHex("receipt test key"));
const account = privateKeyToAccount(key);
const scope = { chainId: 31_337n, hub: `0x${"aa".repeat(20)}` as Hex };
const channelId = keccak256("0x01");
const statement: Statement = {
  payer: `0x${"01".repeat(20)}`,
  modelId: keccak256("0x02"),
  adapterHashes: [],
  profileHash: keccak256("0x03"),
  provenanceMode: 0,
  channelId,
  cumulativeChargedWei: 30n,
  feeWei: 10n,
  question: "What burns green?",
  answer: "A lantern.",
  promptTokens: 40,
  answerTokenIds: [7, 8, 9],
  candidates: [{ chunkId: keccak256("0x04"), scoreMicro: 5n, inContext: true }],
  params: { maxTokens: 8, temperatureMilli: 0, topK: 0, topPMilli: 1000, seed: 0n },
  servedAt: 1_700_000_001n,
};

describe("receipt", () => {
  it("is signed by the node and opened by its disclosure", async () => {
    const { receipt, digest, signature, disclosure } = await createIssuer(account, key, scope).issue(
      statement,
    );
    expect(digest).toBe(receiptCodec.digest(scope, receipt));
    expect(await receiptCodec.signer(digest, signature)).toBe(account.address.toLowerCase());
    const opened = disclosures.decode(disclosure);
    expect(opened.ok && commitments.disclosureFault(receipt, opened.value)).toBeNull();
    expect(receipt).toMatchObject({ completionTokens: 3, cumulativeCharged: 30n, fee: 10n });
  });

  it("is the same after a restart, and recognises the request before there is an answer", async () => {
    const before = await createIssuer(account, key, scope).issue(statement);
    const restarted = createIssuer(account, key, scope);
    expect(await restarted.issue(statement)).toEqual(before);
    const request = { channelId, cumulativeChargedWei: 30n, question: statement.question };
    expect(restarted.requestId(request)).toBe(before.receipt.requestId);
    expect(restarted.requestId({ ...request, question: "Another?" })).not.toBe(before.receipt.requestId);
  });

  it("salts every charge anew, input apart from output, unknown to who lacks the key", async () => {
    const salts = async (issuer: ReturnType<typeof createIssuer>, cumulativeChargedWei: bigint) => {
      const opened = disclosures.decode(
        (await issuer.issue({ ...statement, cumulativeChargedWei })).disclosure,
      );
      return opened.ok ? [opened.value.inputSalt, opened.value.outputSalt] : [];
    };
    const ours = createIssuer(account, key, scope);
    const otherKey = keccak256(toHex("another key"));
    const theirs = createIssuer(privateKeyToAccount(otherKey), otherKey, scope);
    const all = [...(await salts(ours, 30n)), ...(await salts(ours, 40n)), ...(await salts(theirs, 30n))];
    expect(new Set(all).size).toBe(6);
  });
});
