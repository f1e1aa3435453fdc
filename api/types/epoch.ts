import { asc, gte } from "drizzle-orm";
import { epochRun } from "#schema/offchain/50-settlement";
import { builder } from "../builder.ts";
import { listSizeAssumed } from "../limits.ts";
import type { LeftOutRow, RunRow, UnavailableRow } from "../loaders/rows.ts";
import type { Status as StatusRow } from "../status.ts";
import { Epoch, Standing } from "./refs.ts";

const statusNames: Record<number, string> = { 1: "proposed", 2: "disputed", 3: "rejected", 4: "finalized" };

const Carried = builder.objectRef<{ modelId: `0x${string}`; amountWei: bigint }>("Carried").implement({
  description: "Amount that waits for a model's next receipts.",
  fields: (t) => ({
    modelId: t.expose("modelId", { type: "Hex" }),
    amountWei: t.expose("amountWei", { type: "Wei" }),
  }),
});

const LeftOut = builder.objectRef<LeftOutRow>("LeftOut").implement({
  fields: (t) => ({
    batchId: t.expose("batchId", { type: "BigInt" }),
    code: t.exposeString("code", { description: "Of the refusal: engine/README.md." }),
  }),
});

const Unavailable = builder.objectRef<UnavailableRow>("Unavailable").implement({
  fields: (t) => ({
    subject: t.exposeString("subject", { description: "`contribution:<id>` or `training:<model>`." }),
    code: t.exposeString("code", { description: "Of the refusal: engine/README.md." }),
  }),
});

const Conservation = builder.objectRef<RunRow>("Conservation").implement({
  description: "fees = splits + leaves + carried, cumulative to the epoch.",
  fields: (t) => ({
    epochId: t.expose("epochId", { type: "BigInt" }),
    state: t.exposeString("state"),
    feesWei: t.expose("feesWei", { type: "Wei" }),
    splitsWei: t.expose("splitsWei", {
      type: "Wei",
      description: "Paid to nodes and treasury at settlement.",
    }),
    leavesWei: t.expose("rootTotalWei", { type: "Wei", description: "Sum of all cumulative rewards." }),
    carriedWei: t.expose("carriedWei", { type: "Wei" }),
    isConserved: t.boolean({
      resolve: (r) => r.feesWei === r.splitsWei + r.rootTotalWei + r.carriedWei,
    }),
  }),
});

Epoch.implement({
  description: "Blocks settled together, as proposed on chain.",
  fields: (t) => ({
    id: t.expose("id", { type: "BigInt" }),
    status: t.string({ resolve: ({ status }) => statusNames[status] ?? `unknown ${status}` }),
    poster: t.expose("poster", { type: "Hex" }),
    rewardRoot: t.expose("rewardRoot", { type: "Hex" }),
    attributionRoot: t.expose("attributionRoot", { type: "Hex" }),
    receiptsAccumulator: t.expose("receiptsAccumulator", { type: "Hex" }),
    rootTotalWei: t.expose("rootTotal", { type: "Wei" }),
    fromBlock: t.expose("fromBlock", { type: "BigInt", description: "Exclusive." }),
    toBlock: t.expose("toBlock", { type: "BigInt", description: "Inclusive." }),
    methodHash: t.expose("methodHash", { type: "Hex" }),
    contentHash: t.expose("contentHash", { type: "Hex", description: "keccak of the provenance payload." }),
    daRef: t.expose("daRef", { type: "Hex", description: "keccak of the EigenDA certificate." }),
    deadline: t.expose("deadline", {
      type: "BigInt",
      description:
        "Unix seconds: end of the challenge window while proposed, of the arbiter's time while disputed.",
    }),
    proposedTx: t.expose("proposedTx", { type: "Hex" }),
    finalizedTx: t.expose("finalizedTx", { type: "Hex", nullable: true }),
    conservation: t.field({
      type: Conservation,
      nullable: true,
      resolve: async ({ id }, _, { rows }) => (await rows.run(id)) ?? null,
    }),
    leftOut: t.field({
      type: [LeftOut],
      description: "Final batches without receipts in the epoch, and why: their pools are carried.",
      resolve: async ({ id }, _, { rows }) => (await rows.leftOut(id)) ?? [],
    }),
    unavailable: t.field({
      type: [Unavailable],
      description:
        "Contributions and trainings left out because the poster could not have their blobs: its word, open to dispute.",
      resolve: async ({ id }, _, { rows }) => (await rows.unavailable(id)) ?? [],
    }),
    standings: t.field({
      type: [Standing],
      description:
        "Contributors whose records moved answers of the epoch, and what reputation made of their pay.",
      resolve: async ({ id }, _, { rows }) => (await rows.standings(id)) ?? [],
    }),
    carried: t.field({
      type: [Carried],
      resolve: async ({ id }, _, { rows }) => (await rows.carried(id)) ?? [],
    }),
  }),
});

const Status = builder.objectRef<StatusRow>("Status").implement({
  description: "How far the data reaches.",
  fields: (t) => ({
    chainBlock: t.expose("chainBlock", { type: "BigInt" }),
    indexedBlock: t.expose("indexedBlock", { type: "BigInt", nullable: true }),
    finalBlock: t.expose("finalBlock", { type: "BigInt", nullable: true }),
    finalLagSeconds: t.expose("finalLagSeconds", { type: "BigInt", nullable: true }),
  }),
});

builder.queryFields((t) => ({
  conservation: t.field({
    type: [Conservation],
    args: { fromEpoch: t.arg({ type: "BigInt" }) },
    description: `Up to ${listSizeAssumed} epochs from \`fromEpoch\` (1 if not given), ascending.`,
    resolve: (_, { fromEpoch }, { tx }) =>
      tx
        .select()
        .from(epochRun)
        .where(gte(epochRun.epochId, fromEpoch ?? 1n))
        .orderBy(asc(epochRun.epochId))
        .limit(listSizeAssumed),
  }),
  status: t.field({ type: Status, resolve: (_, __, { readStatus }) => readStatus() }),
}));
