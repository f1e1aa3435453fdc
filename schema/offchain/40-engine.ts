import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
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
  /** Under which another method may judge otherwise; null where the data alone decide. */
  methodHash: hex("method_hash"),
});

/**
 * Words of an answer that stand word for word in a record: UTF-16 units [start, end) in the answer and in the chunk's text.
 * `index` counts an answer's spans from 0, `occurrence` the places of one. Labelled verbatim: it pays nothing, and is no
 * part of the state that a rebuild compares.
 */
export const span = engineSchema.table(
  "span",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    index: integer("index").notNull(),
    occurrence: integer("occurrence").notNull(),
    answerStart: integer("answer_start").notNull(),
    answerEnd: integer("answer_end").notNull(),
    chunkId: hex("chunk_id").notNull(),
    sourceStart: integer("source_start").notNull(),
    sourceEnd: integer("source_end").notNull(),
    /** −ln of the words' frequencies among all records, in micro-nats: how unlikely it is by chance. */
    surpriseMicro: wei("surprise_micro").notNull(),
    /** All places it stands in, also those that have no row. */
    occurrenceCount: integer("occurrence_count").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.index, t.occurrence] }), index().on(t.chunkId)],
);

/**
 * What of an answer a class of duplicates stands in word for word, under its first registered chunk: its part of the
 * surprise of the copied words, in micro-nats. Not that it moved the answer; pays nothing.
 */
export const spanCredit = engineSchema.table(
  "span_credit",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    chunkId: hex("chunk_id").notNull(),
    creditMicro: wei("credit_micro").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.chunkId] }), index().on(t.chunkId)],
);

/** A job that failed on its last try, and why. It is tried again when an engine starts; the row goes when it succeeds. */
export const deadLetter = engineSchema.table("dead_letter", {
  jobId: text("job_id").primaryKey(),
  queue: text("queue").notNull(),
  data: jsonb("data").notNull(),
  code: text("code").notNull(),
  reason: text("reason").notNull(),
  tries: integer("tries").notNull(),
  failedAt: timestamp("failed_at", { withTimezone: true }).notNull().defaultNow(),
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
    adapterSet: hex("adapter_set").notNull(),
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

/**
 * Class of duplicates of a chunk: that of the first registered record it equals or resembles, itself where there is none;
 * and the part of its text that stands in no earlier record, in wad. Written once, in the order of registration.
 */
export const duplicate = engineSchema.table(
  "duplicate",
  {
    chunkId: hex("chunk_id").primaryKey(),
    firstChunkId: hex("first_chunk_id").notNull(),
    noveltyWad: wei("novelty_wad").notNull(),
  },
  (t) => [index().on(t.firstChunkId)],
);

/**
 * An adapter whose training payload was fetched and fits the chain; `ready` once the gradients of its records are stored
 * and its gate was judged. A receipt of an adapter that is not ready waits.
 */
export const adapter = engineSchema.table("adapter", {
  modelId: hex("model_id").primaryKey(),
  baseModelId: hex("base_model_id").notNull(),
  artifactHash: hex("artifact_hash").notNull(),
  /** Of its training payload, kind 4. */
  contentHash: hex("content_hash").notNull(),
  state: text("state", { enum: ["fetched", "ready"] }).notNull(),
  /** Under which its gate was judged; null until then. */
  methodHash: hex("method_hash"),
});

/** A record an adapter was trained on, in training order, and what the gate says of it: null until it was judged. */
export const trainingRecord = engineSchema.table(
  "training_record",
  {
    modelId: hex("model_id").notNull(),
    index: integer("index").notNull(),
    chunkId: hex("chunk_id").notNull(),
    passesGate: boolean("passes_gate"),
    /** Sum of its influences on the gate's rows, in micro-nats times records, and how many rows those are. */
    gateSumMicro: wei("gate_sum_micro"),
    gateCount: integer("gate_count"),
  },
  (t) => [primaryKey({ columns: [t.modelId, t.index] }), index().on(t.chunkId)],
);

/**
 * Score of one receipt under one engine version, in wad of nats: log p(answer) of the model alone, with the passages,
 * with the adapter, with both. Without an adapter `adapter` is `base` and `both` is `context`.
 */
export const score = engineSchema.table(
  "score",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    methodHash: hex("method_hash").notNull(),
    method: text("method").notNull(),
    valueBaseWad: wei("value_base_wad").notNull(),
    valueContextWad: wei("value_context_wad").notNull(),
    valueAdapterWad: wei("value_adapter_wad").notNull(),
    valueBothWad: wei("value_both_wad").notNull(),
    dataShareWad: wei("data_share_wad").notNull(),
    /** What of the adapter's value no training record explains. */
    unexplainedWad: wei("unexplained_wad").notNull(),
  },
  (t) => [primaryKey({ columns: [t.receiptDigest, t.methodHash] })],
);

/**
 * How much one player moved one answer, wad of nats; negative values are kept. `context`: a class of duplicates in
 * context, under its first chunk. `adapter`: a training record. `rank` orders the rows of a player from 0.
 */
export const influence = engineSchema.table(
  "influence",
  {
    receiptDigest: hex("receipt_digest").notNull(),
    methodHash: hex("method_hash").notNull(),
    player: text("player", { enum: ["context", "adapter"] }).notNull(),
    rank: integer("rank").notNull(),
    chunkId: hex("chunk_id").notNull(),
    scoreWad: wei("score_wad").notNull(),
    /** Of the estimate; zero where it is exact, null where it is not known. */
    standardErrorWad: wei("standard_error_wad"),
    estimator: text("estimator").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.receiptDigest, t.methodHash, t.player, t.chunkId] }),
    index().on(t.chunkId),
  ],
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
    /** Under which it was measured: code, settings and processor. */
    methodHash: hex("method_hash"),
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
