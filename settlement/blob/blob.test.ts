import fc from "fast-check";
import { bytesToHex, type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import * as commitments from "./commitments.ts";
import * as contribution from "./contribution.ts";
import * as disclosure from "./disclosure.ts";
import * as payload from "./payload.ts";
import * as provenance from "./provenance.ts";
import * as receipt from "./receipt.ts";
import * as receipts from "./receipts.ts";

const h = (seed: string): Hex => keccak256(toHex(seed));
const account = (n: number): Hex => `0x${n.toString(16).padStart(40, "0")}`;
const scope = { chainId: 31337n, hub: account(0xab) };
const key = privateKeyToAccount(h("test key"));

const disclosed: disclosure.Disclosure = {
  question: "Was ist ein Straßenname?",
  answer: "Ein Name.",
  answerTokenIds: [1, 70_000, 4_294_967_295],
  candidates: [
    { chunkId: h("a"), scoreMicro: 1_500_000n, inContext: true },
    { chunkId: h("b"), scoreMicro: -3n, inContext: false },
  ],
  inputSalt: h("in"),
  outputSalt: h("out"),
  params: { maxTokens: 64, temperatureMilli: 0, topK: 0, topPMilli: 1000, seed: 2n ** 64n - 1n },
};
const opened = receiptOf(disclosed);
const contributed: contribution.Contribution = {
  license: "MIT",
  chunks: [
    { source: "README.md#use", text: "Call it with one argument." },
    { source: "", text: "Zweiter Satz mit ü." },
  ],
};
const proven: provenance.Provenance = {
  epoch: 2n,
  methodHash: h("method"),
  method: "method",
  fromBlock: 5n,
  toBlock: 9n,
  receiptsRoots: [h("r1"), h("r2")],
  leftOut: [{ batchId: 7n, code: "da_unavailable" }],
  unavailable: [
    { subject: "contribution:12", code: "da_mismatch" },
    { subject: `training:${h("m")}`, code: "adapter_unavailable" },
  ],
  receipts: [
    {
      receiptDigest: h("d"),
      batchId: 1n,
      modelId: h("m"),
      poolWei: 100n,
      carriedInWei: 1n,
      valueBaseWad: -5_000_000_000_000_000_000n,
      valueContextWad: -3_000_000_000_000_000_000n,
      valueAdapterWad: -2_000_000_000_000_000_000n,
      valueBothWad: -1_000_000_000_000n,
      dataShareWad: 10n ** 18n,
      entries: [
        {
          role: 0,
          subject: h("a"),
          contributionBatchId: 3n,
          account: account(0xbeef),
          scoreWad: -7n,
          amountWei: 101n,
          reason: 0,
        },
      ],
    },
  ],
  duplicates: [{ chunkId: h("b"), firstChunkId: h("a"), noveltyWad: 5n }],
  gated: [{ modelId: h("m"), chunkId: h("c") }],
  standings: [{ modelId: h("m"), account: account(0xbeef), attenuationWad: 10n ** 18n }],
  carried: [{ modelId: h("m"), amountWei: 4n }],
  rewards: [{ account: account(0xbeef), cumulativeWei: 101n }],
};

const codecs = [
  {
    name: "contribution",
    bytes: contribution.encode(contributed),
    value: contributed,
    decode: contribution.decode,
    encode: contribution.encode,
  },
  {
    name: "receipts",
    bytes: receipts.encode({ ...scope, entries: [opened] }),
    value: { ...scope, entries: [opened] },
    decode: receipts.decode,
    encode: receipts.encode,
  },
  {
    name: "provenance",
    bytes: provenance.encode(proven),
    value: proven,
    decode: provenance.decode,
    encode: provenance.encode,
  },
] as unknown as {
  name: string;
  bytes: Uint8Array;
  value: unknown;
  decode: (b: Uint8Array) => ReturnType<typeof payload.open>;
  encode: (v: unknown) => Uint8Array;
}[];

describe.each(codecs)("payload of kind $name", ({ bytes, value, decode, encode }) => {
  it("comes back equal, with a content hash over its bytes", () => {
    expect(decode(bytes)).toEqual({ ok: true, value });
    expect(payload.contentHash(bytes)).toBe(keccak256(bytes));
  });

  it("is refused when truncated anywhere or followed by anything", () => {
    for (let length = 0; length < bytes.length; length += 7)
      expect(decode(bytes.subarray(0, length)).ok).toBe(false);
    expect(decode(Buffer.concat([bytes, new Uint8Array(32)])).ok).toBe(false);
  });

  it("has one encoding: whatever a flipped bit still decodes to encodes to the flipped bytes", () => {
    let refused = 0;
    for (let position = 0; position < bytes.length; position++) {
      const flipped = Uint8Array.from(bytes);
      flipped[position]! ^= 1 << (position % 8);
      const decoded = decode(flipped);
      if (!decoded.ok) refused++;
      else expect(bytesToHex(encode(decoded.value))).toBe(bytesToHex(flipped));
    }
    expect(refused).toBeGreaterThan(bytes.length / 4);
  });

  it("never throws on garbage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (garbage) => !decode(garbage).ok),
      { numRuns: 200 },
    );
  });
});

describe("payload", () => {
  it("of another kind is refused with both kinds named", () => {
    expect(receipts.decode(contribution.encode(contributed))).toEqual({
      ok: false,
      reason: "payload is kind 1 version 1, expected kind 2 version 1",
    });
  });

  it("above the size limit is refused before it is decoded", () => {
    const decoded = provenance.decode(new Uint8Array(16 * 1024 * 1024 + 1));
    expect(decoded).toEqual({ ok: false, reason: "payload exceeds 16777216 bytes, given 16777217" });
  });

  it.each([
    ["a batch", [{ subject: "batch:7", code: "da_unavailable" }]],
    ["another code", [{ subject: "contribution:7", code: "root_mismatch" }]],
    ["a contribution's files", [{ subject: "contribution:7", code: "adapter_unavailable" }]],
    ["a number written otherwise", [{ subject: "contribution:07", code: "da_unavailable" }]],
    [
      "twice the same",
      [
        { subject: "contribution:7", code: "da_unavailable" },
        { subject: "contribution:7", code: "da_mismatch" },
      ],
    ],
    [
      "another order",
      [
        { subject: "contribution:7", code: "da_unavailable" },
        { subject: "contribution:12", code: "da_unavailable" },
      ],
    ],
  ])("of an epoch that calls unavailable %s is refused", (_, unavailable) => {
    expect(provenance.decode(provenance.encode({ ...proven, unavailable }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^unavailable \S+ \S+ is none, or not in ascending order$/),
    });
  });

  it.each([
    ["", /is empty/],
    ["x".repeat(281), /has 281 characters, at most 280/],
    ["two  spaces", /single spaces/],
    [" lead", /single spaces/],
  ])("of a contribution with the chunk %j is refused", (text, reason) => {
    const decoded = contribution.decode(
      contribution.encode({ license: "MIT", chunks: [{ source: "s", text }] }),
    );
    expect(decoded).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });
});

describe("receipt", () => {
  it("is signed by the account that recovers from its digest", async () => {
    const signature = await key.signTypedData(receipt.typedData(scope, opened.receipt));
    const digest = receipt.digest(scope, opened.receipt);
    expect(await receipt.signer(digest, signature)).toBe(key.address.toLowerCase());
    expect(await receipt.signer(digest, `0x${"00".repeat(65)}`)).toBeNull();
    expect(await receipt.signer(digest, "0x12")).toBeNull();
  });

  it("is opened by its disclosure and by no other", () => {
    expect(commitments.disclosureFault(opened.receipt, disclosed)).toBeNull();
    const fault = (change: Partial<disclosure.Disclosure>) =>
      commitments.disclosureFault(opened.receipt, { ...disclosed, ...change });
    expect(fault({ question: "?" })).toBe("inputCommit");
    expect(fault({ answer: "!" })).toBe("outputCommit");
    expect(fault({ answerTokenIds: [] })).toBe("outputCommit");
    expect(fault({ candidates: [...disclosed.candidates].reverse() })).toBe("retrievalCommit");
    expect(fault({ params: { ...disclosed.params, seed: 0n } })).toBe("paramsHash");
    expect(commitments.disclosureFault({ ...opened.receipt, requestId: h("no") }, disclosed)).toBe(
      "requestId",
    );
  });

  it("keeps its disclosure through encoding", () => {
    expect(disclosure.decode(disclosure.encode(disclosed))).toEqual({ ok: true, value: disclosed });
    expect(disclosure.decode("0x").ok).toBe(false);
  });

  it("adds up to totals per model in ascending order", () => {
    const of = (modelId: Hex, fee: bigint) => ({ ...opened.receipt, modelId, fee });
    const [low, high] = [h("m1"), h("m2")].sort() as [Hex, Hex];
    expect(receipts.modelTotals([of(high, 5n), of(low, 1n), of(high, 2n)])).toEqual([
      { modelId: low, amount: 1n, calls: 1 },
      { modelId: high, amount: 7n, calls: 2 },
    ]);
  });
});

function receiptOf(d: disclosure.Disclosure): receipts.ReceiptEntry {
  const inputCommit = commitments.inputCommit(d.inputSalt, d.question);
  const channelId = h("channel");
  const signed: receipt.Receipt = {
    requestId: commitments.requestId({ channelId, cumulativeCharged: 20n, inputCommit }),
    payer: account(1),
    node: key.address.toLowerCase() as Hex,
    modelId: h("m"),
    adapterSet: `0x${"00".repeat(32)}`,
    inputCommit,
    outputCommit: commitments.outputCommit(d.outputSalt, d.answer, d.answerTokenIds),
    retrievalCommit: commitments.retrievalCommit(d.candidates),
    paramsHash: commitments.paramsHash(d.params),
    profileHash: h("profile"),
    provenanceMode: 0,
    promptTokens: 10,
    completionTokens: 3,
    fee: 20n,
    channelId,
    cumulativeCharged: 20n,
    servedAt: 1_800_000_000n,
  };
  return { receipt: signed, signature: `0x${"11".repeat(65)}`, disclosure: disclosure.encode(d) };
}
