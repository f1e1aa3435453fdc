import { bigint, index, integer, jsonb, pgSchema, text, timestamp } from "drizzle-orm/pg-core";
import { hex, wei } from "./columns.ts";

/** Rows of the serving node: what it charged, answered and settled. */
export const servingSchema = pgSchema("serving");

/** Charge state of a channel as the node sees it; the highest voucher it holds. */
export const channelState = servingSchema.table("channel_state", {
  channelId: hex("channel_id").primaryKey(),
  chargedWei: wei("charged_wei").notNull(),
  voucherMaxWei: wei("voucher_max_wei").notNull(),
  voucherSignature: hex("voucher_signature").notNull(),
});

/**
 * One row per answer, written in the transaction that raises the channel's charge. `batchKey` is null until the
 * receipt is put into a batch. `receipt` and `disclosure` are the fields of docs/formats.md, integers as strings.
 */
export const answer = servingSchema.table(
  "answer",
  {
    receiptDigest: hex("receipt_digest").primaryKey(),
    sequence: bigint("sequence", { mode: "bigint" }).generatedAlwaysAsIdentity().unique(),
    channelId: hex("channel_id").notNull(),
    modelId: hex("model_id").notNull(),
    cumulativeChargedWei: wei("cumulative_charged_wei").notNull(),
    feeWei: wei("fee_wei").notNull(),
    receipt: jsonb("receipt").notNull(),
    signature: hex("signature").notNull(),
    disclosure: hex("disclosure").notNull(),
    response: jsonb("response").notNull(),
    batchKey: hex("batch_key"),
  },
  (t) => [index().on(t.batchKey)],
);

/**
 * One row per batch of receipts, keyed by its receipts root. built → dispersed → submitted → settled; the writer
 * is the node's settler alone. A crash in any state resumes from the row; `settled` needs the final chain event.
 */
export const batchRun = servingSchema.table("batch_run", {
  receiptsRoot: hex("receipts_root").primaryKey(),
  state: text("state", { enum: ["built", "dispersed", "submitted", "settled"] }).notNull(),
  sequence: integer("sequence").notNull().unique(),
  payload: hex("payload").notNull(),
  contentHash: hex("content_hash").notNull(),
  /** Claims and totals of submitBatch, integers as strings. */
  submission: jsonb("submission").notNull(),
  daCommitment: hex("da_commitment"),
  txHash: hex("tx_hash"),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
});
