import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import { type BatchOnChain, checkBatch, int32Max, unclaimed } from "./batch.ts";
import * as commitments from "./commitments.ts";
import * as disclosures from "./disclosure.ts";
import * as receiptCodec from "./receipt.ts";
import * as receiptsCodec from "./receipts.ts";

const { candidatesMax } = disclosures;
const { receiptsMax } = receiptsCodec;
const key = (name: string) => privateKeyToAccount(keccak256(toHex(`check-batch test: ${name}`)));
const node = key("node");
const scope = { chainId: 31_337n, hub: `0x${"aa".repeat(20)}` as Hex };
const modelId = keccak256(toHex("model"));
const zero: Hex = `0x${"00".repeat(32)}`;

const disclosed: disclosures.Disclosure = {
  question: "What burns green?",
  answer: "a lantern",
  answerTokenIds: [5, 6, 7],
  candidates: [0, 1].map((i) => ({
    chunkId: keccak256(toHex(i)),
    scoreMicro: BigInt(9 - i),
    inContext: true,
  })),
  inputSalt: keccak256("0x01"),
  outputSalt: keccak256("0x02"),
  params: { maxTokens: 8, temperatureMilli: 0, topK: 0, topPMilli: 1000, seed: 0n },
};

type Change = {
  receipt?: Partial<receiptCodec.Receipt>;
  disclosure?: Partial<disclosures.Disclosure>;
  signer?: typeof node;
};

/** A signed entry whose commitments fit its disclosure, except for what `change` says. */
async function entry(
  position: bigint,
  { receipt = {}, disclosure = {}, signer = node }: Change = {},
): Promise<receiptsCodec.ReceiptEntry> {
  const opened = { ...disclosed, ...disclosure };
  const inputCommit = commitments.inputCommit(opened.inputSalt, opened.question);
  const charge = { channelId: zero, cumulativeCharged: position * 10n, inputCommit };
  const message: receiptCodec.Receipt = {
    requestId: commitments.requestId(charge),
    payer: key("payer").address.toLowerCase() as Hex,
    node: node.address.toLowerCase() as Hex,
    modelId,
    adapterSet: zero,
    outputCommit: commitments.outputCommit(opened.outputSalt, opened.answer, opened.answerTokenIds),
    retrievalCommit: commitments.retrievalCommit(opened.candidates),
    paramsHash: commitments.paramsHash(opened.params),
    profileHash: zero,
    provenanceMode: 0,
    promptTokens: 40,
    completionTokens: opened.answerTokenIds.length,
    fee: 10n,
    servedAt: 1_700_000_000n,
    ...charge,
    ...receipt,
  };
  const signature = await signer.signTypedData(receiptCodec.typedData(scope, message));
  return { receipt: message, signature, disclosure: disclosures.encode(opened) };
}

function chainOf(entries: readonly receiptsCodec.ReceiptEntry[]): BatchOnChain {
  const receipts = entries.map(({ receipt }) => receipt);
  return {
    ...scope,
    receiptsRoot: receiptsCodec.receiptsRoot(receipts.map((receipt) => receiptCodec.digest(scope, receipt))),
    node: node.address.toLowerCase() as Hex,
    calls: receipts.length,
    total: receipts.reduce((sum, { fee }) => sum + fee, 0n),
    usage: receiptsCodec.modelTotals(receipts),
  };
}

async function verdict(
  entries: readonly receiptsCodec.ReceiptEntry[],
  chain: Partial<BatchOnChain> = {},
): Promise<string> {
  const checked = await checkBatch(receiptsCodec.encode({ ...scope, entries }), {
    ...chainOf(entries),
    ...chain,
  });
  return checked.ok ? "ok" : `${checked.code}: ${checked.reason}`;
}

describe("checkBatch", () => {
  it("accepts what the chain has and opens every receipt", async () => {
    const entries = [await entry(1n), await entry(2n)];
    const checked = await checkBatch(receiptsCodec.encode({ ...scope, entries }), chainOf(entries));
    expect(checked).toMatchObject({ ok: true, receipts: [{ disclosed }, { disclosed }] });
  });

  it("refuses a malformed receipt in a good batch, and says which", async () => {
    const good = await entry(1n);
    const bad = async (change: Change) => verdict([good, await entry(2n, change)]);
    expect(await bad({ signer: key("other") })).toMatch(/^wrong_signature: receipt 1/);
    expect(await bad({ receipt: { node: scope.hub } })).toMatch(/^wrong_node: receipt 1/);
    expect(await bad({ receipt: { inputCommit: zero } })).toMatch(/inputCommit/);
    expect(await bad({ receipt: { outputCommit: zero } })).toMatch(/outputCommit/);
    expect(await bad({ receipt: { retrievalCommit: zero } })).toMatch(/retrievalCommit/);
    expect(await bad({ receipt: { paramsHash: zero } })).toMatch(/paramsHash/);
    expect(await bad({ receipt: { requestId: zero } })).toMatch(/requestId/);
    expect(await bad({ receipt: { completionTokens: 4 } })).toMatch(
      /^disclosure_mismatch: receipt 1.*tokens/,
    );
    expect(await bad({ receipt: { promptTokens: int32Max + 1 } })).toMatch(/^malformed_receipt/);
    expect(await bad({ receipt: { servedAt: 2n ** 63n } })).toMatch(/^malformed_receipt/);
    expect(await bad({ receipt: { provenanceMode: 1 } })).toMatch(/^mode_unsupported/);
    expect(await bad({ disclosure: { question: "a\0b" } })).toMatch(/NUL/);
    const [first] = disclosed.candidates;
    expect(await bad({ disclosure: { candidates: [first!, first!] } })).toMatch(/twice/);
    const many = Array.from({ length: disclosures.contextMax + 1 }, (_, i) => ({
      ...first!,
      chunkId: keccak256(toHex(i)),
    }));
    expect(await bad({ disclosure: { candidates: many } })).toMatch(/^context_too_large/);
    const crowd = Array.from({ length: candidatesMax + 1 }, (_, i) => ({
      ...first!,
      chunkId: keccak256(toHex(i)),
      inContext: false,
    }));
    expect(await bad({ disclosure: { candidates: crowd } })).toMatch(/^malformed_disclosure.*at most 64/);
    const question = "q".repeat(disclosures.questionCharactersMax + 1);
    expect(await bad({ disclosure: { question } })).toMatch(/^malformed_disclosure.*at most 4096/);
    expect(await verdict([good, { ...(await entry(2n)), disclosure: "0x1234" }])).toMatch(
      /^malformed_disclosure: receipt 1/,
    );
    expect(await verdict([good, { ...(await entry(2n)), signature: "0x1234" }])).toMatch(
      /^wrong_signature: receipt 1/,
    );
    expect(await verdict([good, good])).toMatch(/^duplicate_receipt/);
  });

  it("refuses more receipts than a batch may hold", async () => {
    const one = await entry(1n);
    const crowd = Array.from({ length: receiptsMax + 1 }, () => one);
    expect(await verdict(crowd)).toMatch(/^malformed_payload: 513 receipts, at most 512/);
  });

  it("refuses a batch whose entries would not fit into an epoch's blob", async () => {
    const candidates = Array.from({ length: candidatesMax }, (_, i) => ({
      chunkId: keccak256(toHex(i)),
      scoreMicro: 1n,
      inContext: i < disclosures.contextMax,
    }));
    const crowded = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, i) => entry(BigInt(i + 1), { disclosure: { candidates } })),
      );
    expect(await verdict(await crowded(10))).toBe("ok"); // 306 entries each.
    expect(await verdict(await crowded(11))).toMatch(/^batch_too_large: may need 3366 entries, at most 3200/);
  });

  it("refuses a batch that is not what was settled", async () => {
    const entries = [await entry(1n), await entry(2n)];
    expect(await verdict(entries, { receiptsRoot: zero })).toMatch(/^root_mismatch/);
    expect(await verdict(entries, { chainId: 1n })).toMatch(/^wrong_scope/);
    expect(await verdict(entries, { hub: `0x${"bb".repeat(20)}` })).toMatch(/^wrong_scope/);
    expect(await verdict(entries, { total: 21n })).toMatch(/^totals_mismatch/);
    expect(await verdict(entries, { calls: 3 })).toMatch(/^totals_mismatch/);
    expect(await verdict(entries, { usage: [{ modelId: zero, amount: 20n, calls: 2 }] })).toMatch(
      /^totals_mismatch/,
    );
    expect(await verdict(entries.slice(1), chainOf(entries))).toMatch(/^root_mismatch/);
    expect(await verdict(entries.toReversed(), chainOf(entries))).toBe("ok");
  });

  it("refuses a payload with any single byte flipped, cut short, or of another kind", async () => {
    const entries = [await entry(1n)];
    const payload = receiptsCodec.encode({ ...scope, entries });
    const chain = chainOf(entries);
    for (let at = 0; at < payload.length; at += 13) {
      const flipped = Uint8Array.from(payload);
      flipped[at]! ^= 0x41;
      expect((await checkBatch(flipped, chain)).ok).toBe(false);
    }
    expect((await checkBatch(payload.slice(0, -32), chain)).ok).toBe(false);
    expect((await checkBatch(new Uint8Array(), chain)).ok).toBe(false);
    expect((await checkBatch(new Uint8Array(1_000), chain)).ok).toBe(false);
  });
});

describe("unclaimed", () => {
  it("lets a receipt count only where the batch claims its whole charge", async () => {
    const { receipt } = await entry(3n);
    const faultOf = (fromWei: bigint, toWei: bigint) =>
      unclaimed([{ digest: zero, receipt }], new Map([[zero, { fromWei, toWei }]]))?.code;
    expect(faultOf(20n, 30n)).toBeUndefined();
    expect(faultOf(0n, 40n)).toBeUndefined();
    for (const [from, to] of [
      [30n, 40n],
      [25n, 35n],
      [10n, 29n],
    ] as const) {
      expect(faultOf(from, to)).toBe("unclaimed_receipt");
    }
    expect(unclaimed([{ digest: zero, receipt }], new Map())?.code).toBe("unclaimed_receipt");
    const free = { ...receipt, fee: 0n };
    const before = new Map([[zero, { fromWei: 20n, toWei: 30n }]]);
    const after = new Map([[zero, { fromWei: 30n, toWei: 40n }]]);
    expect(unclaimed([{ digest: zero, receipt: free }], before)).toBeNull();
    expect(unclaimed([{ digest: zero, receipt: free }], after)?.code).toBe("unclaimed_receipt");
  });
});
