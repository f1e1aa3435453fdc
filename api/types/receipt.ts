import * as leaf from "#settlement/tree/leaf";
import { builder, found } from "../builder.ts";
import {
  Batch,
  Candidate,
  Chunk,
  Contributor,
  Entry,
  Influence,
  Model,
  Receipt,
  Score,
  Span,
  SpanCredit,
} from "./refs.ts";

Receipt.implement({
  description: "One answer: signed by the node, settled in a batch.",
  fields: (t) => ({
    digest: t.expose("digest", { type: "Hex" }),
    leaf: t.field({ type: "Hex", resolve: ({ digest }) => leaf.receipt(digest) }),
    requestId: t.expose("requestId", { type: "Hex" }),
    payer: t.expose("payer", { type: "Hex" }),
    node: t.expose("node", { type: "Hex" }),
    model: t.field({
      type: Model,
      resolve: async ({ modelId }, _, { rows }) => found(await rows.model(modelId), `Model ${modelId}`),
    }),
    feeWei: t.expose("feeWei", { type: "Wei" }),
    poolWei: t.expose("poolWei", { type: "Wei", description: "Its part of the batch's pool share." }),
    channelId: t.expose("channelId", { type: "Hex" }),
    cumulativeChargedWei: t.expose("cumulativeChargedWei", { type: "Wei" }),
    promptTokens: t.exposeInt("promptTokens"),
    completionTokens: t.exposeInt("completionTokens"),
    servedAt: t.expose("servedAt", { type: "BigInt", description: "Unix seconds." }),
    inputCommit: t.expose("inputCommit", { type: "Hex" }),
    outputCommit: t.expose("outputCommit", { type: "Hex" }),
    retrievalCommit: t.expose("retrievalCommit", { type: "Hex" }),
    paramsHash: t.expose("paramsHash", { type: "Hex" }),
    profileHash: t.expose("profileHash", { type: "Hex" }),
    signature: t.expose("signature", { type: "Hex" }),
    question: t.exposeString("question", { nullable: true }),
    answer: t.exposeString("answer", { nullable: true }),
    batch: t.field({
      type: Batch,
      resolve: async ({ batchId }, _, { rows }) => found(await rows.batch(batchId), `Batch ${batchId}`),
    }),
    candidates: t.field({
      type: [Candidate],
      description: "What was retrieved, in rank order.",
      resolve: async ({ digest }, _, { rows }) => (await rows.candidates(digest)) ?? [],
    }),
    scores: t.field({
      type: [Score],
      resolve: async ({ digest }, _, { rows }) => (await rows.scores(digest)) ?? [],
    }),
    spans: t.field({
      type: [Span],
      description: "What the answer copies from records, word for word.",
      resolve: async ({ digest }, _, { rows }) => (await rows.spans(digest)) ?? [],
    }),
    verbatimCredits: t.field({
      type: [SpanCredit],
      description:
        "Whose records the copied words stand in, the largest part first. No payment: it says that text was copied, not that it moved the answer.",
      resolve: async ({ digest }, _, { rows }) => (await rows.spanCredits(digest)) ?? [],
    }),
    entries: t.field({
      type: [Entry],
      description: "Who got what of the answer's pool, and why. Empty until the epoch is computed.",
      resolve: async ({ digest }, _, { rows }) => (await rows.entriesOfReceipt(digest)) ?? [],
    }),
  }),
});

Candidate.implement({
  description: "A retrieved chunk of one answer.",
  fields: (t) => ({
    rank: t.exposeInt("rank"),
    leaf: t.field({ type: "Hex", resolve: (row) => leaf.candidate(row) }),
    scoreMicro: t.expose("scoreMicro", { type: "BigInt", description: "Retrieval score in millionths." }),
    inContext: t.exposeBoolean("inContext"),
    chunkId: t.expose("chunkId", { type: "Hex" }),
    chunk: t.field({
      type: Chunk,
      nullable: true,
      resolve: async ({ chunkId }, _, { rows }) => (await rows.chunk(chunkId)) ?? null,
    }),
  }),
});

Score.implement({
  description: "Log-probabilities of the answer under one engine version, wad of nats.",
  fields: (t) => ({
    methodHash: t.expose("methodHash", { type: "Hex" }),
    method: t.exposeString("method"),
    valueBaseWad: t.expose("valueBaseWad", { type: "BigInt", description: "Of the model alone." }),
    valueContextWad: t.expose("valueContextWad", { type: "BigInt", description: "With the passages." }),
    valueAdapterWad: t.expose("valueAdapterWad", { type: "BigInt", description: "With the adapter." }),
    valueBothWad: t.expose("valueBothWad", { type: "BigInt", description: "With both: as it was answered." }),
    dataShareWad: t.expose("dataShareWad", {
      type: "BigInt",
      description: "Part of the pool that data earned.",
    }),
    unexplainedWad: t.expose("unexplainedWad", {
      type: "BigInt",
      description: "What of the adapter no training record explains: its owner's.",
    }),
    influences: t.field({
      type: [Influence],
      description: "How much each passage and each listed training record moved the answer.",
      resolve: async ({ receiptDigest, methodHash }, _, { rows }) =>
        (await rows.influences(`${receiptDigest}:${methodHash}`)) ?? [],
    }),
  }),
});

Batch.implement({
  description: "Receipts settled together: SettlementHub.BatchSettled.",
  fields: (t) => ({
    id: t.expose("id", { type: "BigInt" }),
    receiptsRoot: t.expose("receiptsRoot", { type: "Hex" }),
    node: t.field({ type: Contributor, resolve: ({ node }) => ({ account: node }) }),
    calls: t.field({ type: "BigInt", resolve: (row) => BigInt(row.calls) }),
    totalWei: t.expose("total", { type: "Wei" }),
    nodeShareWei: t.expose("nodeShare", { type: "Wei" }),
    poolShareWei: t.expose("poolShare", { type: "Wei" }),
    treasuryShareWei: t.expose("treasuryShare", { type: "Wei" }),
    contentHash: t.expose("contentHash", { type: "Hex" }),
    blockNumber: t.expose("blockNumber", { type: "BigInt" }),
    txHash: t.expose("txHash", { type: "Hex" }),
    receipts: t.field({
      type: [Receipt],
      resolve: async ({ id }, _, { rows }) => (await rows.receiptsOfBatch(id)) ?? [],
    }),
  }),
});

builder.queryFields((t) => ({
  receipt: t.field({
    type: Receipt,
    nullable: true,
    args: { digest: t.arg({ type: "Hex", required: true }) },
    resolve: async (_, { digest }, { rows }) => (await rows.receipt(digest)) ?? null,
  }),
  batch: t.field({
    type: Batch,
    nullable: true,
    args: { id: t.arg({ type: "BigInt", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.batch(id)) ?? null,
  }),
}));
