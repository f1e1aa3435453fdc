import * as tree from "#settlement/tree/tree";
import { builder, found, pageArgs, pageType } from "../builder.ts";
import { claimablePage, claimEntries, claimEntryCount, claimPage, epochPage } from "../loaders/pages.ts";
import { EntryPage } from "./attribution.ts";
import { Claim, Contributor, Epoch, RewardLeaf } from "./refs.ts";

Claim.implement({
  description: "A payout: RewardDistributor.Claimed.",
  fields: (t) => ({
    txHash: t.expose("txHash", { type: "Hex" }),
    logIndex: t.exposeInt("logIndex"),
    blockNumber: t.expose("blockNumber", { type: "BigInt" }),
    account: t.field({ type: Contributor, resolve: ({ account }) => ({ account }) }),
    recipient: t.expose("recipient", { type: "Hex" }),
    amountWei: t.expose("amount", { type: "Wei" }),
    cumulativeWei: t.expose("cumulative", {
      type: "Wei",
      description: "Paid to the account in all, with this.",
    }),
    epoch: t.field({
      type: Epoch,
      resolve: async ({ epochId }, _, { rows }) => found(await rows.epoch(epochId), `Epoch ${epochId}`),
    }),
    leaf: t.field({
      type: RewardLeaf,
      nullable: true,
      description: "The leaf the claim proved; null while settlement has not rebuilt the epoch.",
      resolve: async ({ account, epochId, cumulative }, _, { rows }) => {
        const row = await rows.reward(`${epochId}:${account}`);
        return row?.cumulativeWei === cumulative ? row : null;
      },
    }),
    entries: t.field({
      type: EntryPage,
      args: pageArgs,
      description: "What the amount is made of: the account's entries since its previous claim.",
      resolve: (claim, args, { tx }) => claimEntries(tx, claim, args),
    }),
    entryCount: t.int({
      description: "How many `entries` there are.",
      resolve: (claim, _, { tx }) => claimEntryCount(tx, claim),
    }),
  }),
});

RewardLeaf.implement({
  description: "Leaf of the cumulative reward tree of an epoch.",
  fields: (t) => ({
    hash: t.expose("leaf", { type: "Hex" }),
    account: t.field({ type: Contributor, resolve: ({ account }) => ({ account }) }),
    cumulativeWei: t.expose("cumulativeWei", { type: "Wei" }),
    claimedWei: t.field({
      type: "Wei",
      resolve: async ({ account }, _, { rows }) => (await rows.claimedWei(account)) ?? 0n,
    }),
    claimableWei: t.field({
      type: "Wei",
      description: "What a claim of this leaf would pay now.",
      resolve: async ({ account, cumulativeWei }, _, { rows }) => {
        const claimedWei = (await rows.claimedWei(account)) ?? 0n;
        return cumulativeWei > claimedWei ? cumulativeWei - claimedWei : 0n;
      },
    }),
    epochId: t.expose("epochId", { type: "BigInt" }),
    epoch: t.field({
      type: Epoch,
      resolve: async ({ epochId }, _, { rows }) => found(await rows.epoch(epochId), `Epoch ${epochId}`),
    }),
    proof: t.field({
      type: ["Hex"],
      resolve: async ({ epochId, leaf }, _, { rows }) =>
        tree.proof(found(await rows.rewardTree(epochId), `Reward tree ${epochId}`), leaf),
    }),
  }),
});

const ClaimPage = pageType("Claim", Claim);
const EpochPage = pageType("Epoch", Epoch);
const RewardLeafPage = pageType("RewardLeaf", RewardLeaf);

builder.queryFields((t) => ({
  claims: t.field({
    type: ClaimPage,
    args: { ...pageArgs, account: t.arg({ type: "Hex" }), txHash: t.arg({ type: "Hex" }) },
    description: "Payouts, newest first.",
    resolve: (_, args, { tx }) => claimPage(tx, args, args),
  }),
  epochs: t.field({
    type: EpochPage,
    args: pageArgs,
    description: "Newest first.",
    resolve: (_, args, { tx }) => epochPage(tx, args),
  }),
  epoch: t.field({
    type: Epoch,
    nullable: true,
    args: { id: t.arg({ type: "BigInt", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.epoch(id)) ?? null,
  }),
  claimable: t.field({
    type: RewardLeafPage,
    args: pageArgs,
    description:
      "Leaves of the active root with something left to claim, by account: the arguments of claimMany.",
    resolve: (_, args, { tx }) => claimablePage(tx, args),
  }),
}));
