import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  pgSchema,
  primaryKey,
  text,
} from "drizzle-orm/pg-core";
import { hex, wei } from "./columns.ts";

/** Rows of the attribution engine: what it fetched and what it scored. All but `cursor` rebuild from chain and DA. */
export const engineSchema = pgSchema("engine");

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });

/** Last event a consumer has committed, and its block. Rows, cursor and jobs move in one transaction. */
export const cursor = engineSchema.table("cursor", {
  name: text("name").primaryKey(),
  chainId: bigint("chain_id", { mode: "bigint" }).notNull(),
  lastEventId: text("last_event_id").notNull(),
  lastBlockHash: hex("last_block_hash").notNull(),
});

/** A payload fetched from DA and checked against its certificate's commitment and its content hash on chain. */
export const payload = engineSchema.table("payload", {
  contentHash: hex("content_hash").primaryKey(),
  kind: integer("kind").notNull(),
  blobKey: hex("blob_key").notNull(),
  bytes: bytea("bytes").notNull(),
});

/** A blob or record that was refused, with the reason; the chain row it came from stays. */
export const refusal = engineSchema.table("refusal", {
  eventId: text("event_id").primaryKey(),
  subject: text("subject").notNull(),
  code: text("code").notNull(),
  reason: text("reason").notNull(),
});

/** One retrievable chunk of an accepted contribution. Retraction keeps the row: past answers refer to it. */
export const chunk = engineSchema.table(
  "chunk",
  {
    id: hex("id").primaryKey(),
    contributionId: bigint("contribution_id", { mode: "bigint" }).notNull(),
    datanetId: bigint("datanet_id", { mode: "bigint" }).notNull(),
    index: integer("index").notNull(),
    contributor: hex("contributor").notNull(),
    source: text("source").notNull(),
    text: text("text").notNull(),
    textHash: hex("text_hash").notNull(),
    leaf: hex("leaf").notNull(),
  },
  (t) => [index().on(t.datanetId), index().on(t.contributionId)],
);

/** One receipt of a settled, final batch, taken from the batch's blob and checked against root and signature. */
export const receipt = engineSchema.table(
  "receipt",
  {
    digest: hex("digest").primaryKey(),
    batchId: bigint("batch_id", { mode: "bigint" }).notNull(),
    /** Position in the batch, counting from 0 in the order served. */
    index: integer("index").notNull(),
    requestId: hex("request_id").notNull(),
    payer: hex("payer").notNull(),
    node: hex("node").notNull(),
    modelId: hex("model_id").notNull(),
    feeWei: wei("fee_wei").notNull(),
    /** This receipt's part of the batch's pool share. */
    poolWei: wei("pool_wei").notNull(),
    channelId: hex("channel_id").notNull(),
    cumulativeChargedWei: wei("cumulative_charged_wei").notNull(),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    servedAt: bigint("served_at", { mode: "bigint" }).notNull(),
    inputCommit: hex("input_commit").notNull(),
    outputCommit: hex("output_commit").notNull(),
    retrievalCommit: hex("retrieval_commit").notNull(),
    paramsHash: hex("params_hash").notNull(),
    profileHash: hex("profile_hash").notNull(),
    provenanceMode: integer("provenance_mode").notNull(),
    signature: hex("signature").notNull(),
    disclosure: hex("disclosure").notNull(),
    question: text("question"),
    answer: text("answer"),
  },
  (t) => [index().on(t.batchId), index().on(t.modelId), index().on(t.payer)],
);

/** Candidate of a receipt, in rank order. */
export const candidate = engineSchema.table(
  "candidate",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    rank: integer("rank").notNull(),
    chunkId: hex("chunk_id").notNull(),
    scoreMicro: bigint("score_micro", { mode: "bigint" }).notNull(),
    inContext: boolean("in_context").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.rank] }), index().on(t.chunkId)],
);

/** Score of one receipt under one engine version; `values` are v(∅) and v(N) in wad of nats. */
export const score = engineSchema.table(
  "score",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    methodHash: hex("method_hash").notNull(),
    method: text("method").notNull(),
    valueEmptyWad: wei("value_empty_wad").notNull(),
    valueFullWad: wei("value_full_wad").notNull(),
    dataShareWad: wei("data_share_wad").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.methodHash] })],
);

/** Shapley value of one chunk in one receipt, wad of nats; negative values are kept. */
export const influence = engineSchema.table(
  "influence",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    methodHash: hex("method_hash").notNull(),
    chunkId: hex("chunk_id").notNull(),
    scoreWad: wei("score_wad").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.methodHash, t.chunkId] }), index().on(t.chunkId)],
);

/**
 * How true the influence of one model is under one engine version: a measure against a truth that retraining or ablation
 * makes. A report, read by people; no money follows from it, so its figures are floats.
 */
export const faithfulness = engineSchema.table(
  "faithfulness",
  {
    artifactHash: hex("artifact_hash").notNull(),
    engineVersion: integer("engine_version").notNull(),
    /** What was measured, for instance `lds.efim-dual`. */
    measure: text("measure").notNull(),
    value: doublePrecision("value").notNull(),
    /** Bounds of the 95 % interval; null where a figure has none. */
    low: doublePrecision("low"),
    high: doublePrecision("high"),
    unit: text("unit").notNull(),
    /** Runs with other seeds that the figure is over. */
    seedCount: integer("seed_count").notNull(),
    /** Data, sizes and settings: what another person needs to measure the same. */
    conditions: text("conditions").notNull(),
  },
  (t) => [primaryKey({ columns: [t.artifactHash, t.engineVersion, t.measure] })],
);
