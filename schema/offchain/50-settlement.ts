import { bigint, index, integer, jsonb, pgSchema, primaryKey, text, timestamp } from "drizzle-orm/pg-core";
import { hex, wei } from "./columns.ts";

/** Rows of settlement: what each epoch allocated, its trees, its way to the chain. */
export const settlementSchema = pgSchema("settlement");

/**
 * One row per epoch. computed → dispersed → proposed → final; the writer is settlement alone. In a rebuild the
 * epoch already stands on chain: the row goes from computed to final after roots and content hash compare equal.
 */
export const epochRun = settlementSchema.table("epoch_run", {
  epochId: bigint("epoch_id", { mode: "bigint" }).primaryKey(),
  state: text("state", { enum: ["computed", "dispersed", "proposed", "final"] }).notNull(),
  methodHash: hex("method_hash").notNull(),
  fromBlock: bigint("from_block", { mode: "bigint" }).notNull(),
  toBlock: bigint("to_block", { mode: "bigint" }).notNull(),
  receiptsAccumulator: hex("receipts_accumulator").notNull(),
  rewardRoot: hex("reward_root").notNull(),
  attributionRoot: hex("attribution_root").notNull(),
  rootTotalWei: wei("root_total_wei").notNull(),
  /** Fees, splits and carried amounts cumulative to this epoch: fees = splits + rootTotal + carried. */
  feesWei: wei("fees_wei").notNull(),
  splitsWei: wei("splits_wei").notNull(),
  carriedWei: wei("carried_wei").notNull(),
  payload: hex("payload").notNull(),
  contentHash: hex("content_hash").notNull(),
  daCommitment: hex("da_commitment"),
  daRef: hex("da_ref"),
  proposeTx: hex("propose_tx"),
  finalizeTx: hex("finalize_tx"),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
});

/** One attribution entry: who gets what of one receipt, for what, and why. */
export const entry = settlementSchema.table(
  "entry",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    receiptDigest: hex("receipt_digest").notNull(),
    index: integer("index").notNull(),
    role: integer("role").notNull(),
    subject: hex("subject").notNull(),
    contributionId: bigint("contribution_id", { mode: "bigint" }).notNull(),
    account: hex("account").notNull(),
    scoreWad: wei("score_wad").notNull(),
    amountWei: wei("amount_wei").notNull(),
    reason: integer("reason").notNull(),
    leaf: hex("leaf").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.epochId, t.receiptDigest, t.index] }),
    index().on(t.account),
    index().on(t.subject),
    index().on(t.receiptDigest),
  ],
);

/** Cumulative reward of an account at an epoch, with its leaf; proofs are recomputed from the leaves. */
export const reward = settlementSchema.table(
  "reward",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    account: hex("account").notNull(),
    cumulativeWei: wei("cumulative_wei").notNull(),
    leaf: hex("leaf").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.account] }), index().on(t.account)],
);

/** Amount carried per model after an epoch. */
export const carried = settlementSchema.table(
  "carried",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    modelId: hex("model_id").notNull(),
    amountWei: wei("amount_wei").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.modelId] })],
);

/** Attenuation by reputation of a contributor in one model's epoch, in wad: what its lines were multiplied by. */
export const standing = settlementSchema.table(
  "standing",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    modelId: hex("model_id").notNull(),
    account: hex("account").notNull(),
    attenuationWad: wei("attenuation_wad").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.modelId, t.account] }), index().on(t.account)],
);

/** A final batch of an epoch's blocks without receipts in the epoch, with the code of its refusal. */
export const leftOut = settlementSchema.table(
  "left_out",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    batchId: bigint("batch_id", { mode: "bigint" }).notNull(),
    code: text("code").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.batchId] })],
);

/** A contribution or training of an epoch whose blob its poster could not have: `contribution:<id>`, `training:<model>`. */
export const unavailable = settlementSchema.table(
  "unavailable",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    subject: text("subject").notNull(),
    code: text("code").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.subject] }), index().on(t.subject)],
);

/**
 * Reputation of an account with public evidence, as of an epoch; `datanetId` is 0 over all. Good and bad are decayed
 * evidence in millionths of a case. Contributors are attenuated by it; a validator's is told, and moves no money yet.
 */
export const reputation = settlementSchema.table(
  "reputation",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    account: hex("account").notNull(),
    datanetId: bigint("datanet_id", { mode: "bigint" }).notNull(),
    role: text("role", { enum: ["contributor", "validator"] }).notNull(),
    goodMicro: wei("good_micro").notNull(),
    badMicro: wei("bad_micro").notNull(),
    attenuationWad: wei("attenuation_wad").notNull(),
    /** Agreement with peers beyond chance, −1 to 1 in millionths; of validators over all, null where too few votes are shared. */
    peerPredictionMicro: wei("peer_prediction_micro"),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.account, t.datanetId, t.role] }), index().on(t.account)],
);

/** An account whose confirmed violations call for slashing, with the evidence. A proposal: nothing here carries it out. */
export const slashProposal = settlementSchema.table(
  "slash_proposal",
  {
    epochId: bigint("epoch_id", { mode: "bigint" }).notNull(),
    account: hex("account").notNull(),
    datanetId: bigint("datanet_id", { mode: "bigint" }).notNull(),
    scoreMilli: wei("score_milli").notNull(),
    /** [{kind, evidenceId, epoch}] by epoch, then id. */
    evidence: jsonb("evidence").notNull(),
  },
  (t) => [primaryKey({ columns: [t.epochId, t.account, t.datanetId] })],
);
