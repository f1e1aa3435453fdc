import { reasonText, roleText } from "#settlement/blob/codes";
import * as tree from "#settlement/tree/tree";
import { found, pageType } from "../builder.ts";
import { Chunk, Contribution, Contributor, Entry, Epoch, Model, Receipt } from "./refs.ts";

const zeroAccount = `0x${"00".repeat(20)}`;
/** Role of entries that are carried, and of those about a model: docs/formats.md. */
const modelRoles = [3, 4, 8];

Entry.implement({
  description:
    "Who gets what of one receipt, for which chunk or model, and why: a leaf of the attribution tree.",
  fields: (t) => ({
    leaf: t.expose("leaf", { type: "Hex" }),
    index: t.exposeInt("index"),
    role: t.string({ resolve: ({ role }) => roleText(role) }),
    subject: t.expose("subject", { type: "Hex", description: "chunkId or modelId." }),
    scoreWad: t.expose("scoreWad", {
      type: "BigInt",
      description:
        "How much the chunk moved the answer, wad of nats; of an adapter's owner what no record explains.",
    }),
    amountWei: t.expose("amountWei", { type: "Wei" }),
    reason: t.exposeInt("reason"),
    reasonText: t.string({ resolve: ({ reason }) => reasonText(reason) }),
    account: t.field({
      type: Contributor,
      nullable: true,
      description: "Null where nobody is eligible.",
      resolve: ({ account }) => (account === zeroAccount ? null : { account }),
    }),
    epoch: t.field({
      type: Epoch,
      nullable: true,
      description: "Null until the epoch is proposed.",
      resolve: async ({ epochId }, _, { rows }) => (await rows.epoch(epochId)) ?? null,
    }),
    receipt: t.field({
      type: Receipt,
      resolve: async ({ receiptDigest }, _, { rows }) =>
        found(await rows.receipt(receiptDigest), `Receipt ${receiptDigest}`),
    }),
    chunk: t.field({
      type: Chunk,
      nullable: true,
      resolve: async ({ subject }, _, { rows }) => (await rows.chunk(subject)) ?? null,
    }),
    model: t.field({
      type: Model,
      nullable: true,
      resolve: async ({ role, subject }, _, { rows }) =>
        modelRoles.includes(role) ? ((await rows.model(subject)) ?? null) : null,
    }),
    contribution: t.field({
      type: Contribution,
      nullable: true,
      resolve: async ({ contributionId }, _, { rows }) =>
        contributionId === 0n ? null : ((await rows.contribution(contributionId)) ?? null),
    }),
    proof: t.field({
      type: ["Hex"],
      description: "From the leaf to the epoch's attributionRoot.",
      resolve: async ({ epochId, leaf }, _, { rows }) =>
        tree.proof(found(await rows.attributionTree(epochId), `Attribution tree ${epochId}`), leaf),
    }),
  }),
});

export const EntryPage = pageType("Entry", Entry);
