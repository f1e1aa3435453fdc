import { eq } from "drizzle-orm";
import { entry } from "#schema/offchain/50-settlement";
import { reasonText } from "#settlement/blob/codes";
import { builder, found, pageArgs, pageType } from "../builder.ts";
import { contributionPage, datanetPage, entryPage, zeroReasons } from "../loaders/pages.ts";
import { EntryPage } from "./attribution.ts";
import {
  Chunk,
  Contribution,
  Contributor,
  Datanet,
  Duplicate,
  Faithfulness,
  Model,
  RewardLeaf,
  Training,
  Vote,
} from "./refs.ts";

const stateNames: Record<number, string> = {
  1: "pending",
  2: "accepted",
  3: "rejected",
  4: "lapsed",
  5: "retracted",
};

const ContributionPage = pageType("Contribution", Contribution);
const DatanetPage = pageType("Datanet", Datanet);

Chunk.implement({
  description: "One retrievable passage of an accepted contribution.",
  fields: (t) => ({
    id: t.expose("id", { type: "Hex" }),
    index: t.exposeInt("index"),
    source: t.exposeString("source"),
    text: t.exposeString("text"),
    textHash: t.expose("textHash", { type: "Hex" }),
    leaf: t.expose("leaf", { type: "Hex", description: "Under the contribution's dataRoot." }),
    contribution: t.field({
      type: Contribution,
      resolve: async ({ contributionId }, _, { rows }) =>
        found(await rows.contribution(contributionId), `Contribution ${contributionId}`),
    }),
    duplicate: t.field({
      type: Duplicate,
      nullable: true,
      description: "Its class of duplicates; null until it has one.",
      resolve: async ({ id }, _, { rows }) => (await rows.duplicate(id)) ?? null,
    }),
    influences: t.field({
      type: EntryPage,
      args: pageArgs,
      description: "Every answer it was retrieved for, with its effect and what that paid, or why nothing.",
      resolve: ({ id }, args, { tx }) => entryPage(tx, eq(entry.subject, id), args),
    }),
  }),
});

Contribution.implement({
  description: "Records under one root: DatanetRegistry.ContributionSubmitted.",
  fields: (t) => ({
    id: t.expose("id", { type: "BigInt" }),
    contributor: t.field({ type: Contributor, resolve: ({ contributor }) => ({ account: contributor }) }),
    datanet: t.field({
      type: Datanet,
      resolve: async ({ datanetId }, _, { rows }) =>
        found(await rows.datanet(datanetId), `Datanet ${datanetId}`),
    }),
    dataRoot: t.expose("dataRoot", { type: "Hex" }),
    items: t.field({ type: "BigInt", resolve: (row) => BigInt(row.items) }),
    contentHash: t.expose("contentHash", { type: "Hex" }),
    licenseHash: t.expose("licenseHash", { type: "Hex" }),
    state: t.string({ resolve: ({ state }) => stateNames[state] ?? `unknown ${state}` }),
    forWei: t.expose("forW", { type: "Wei" }),
    againstWei: t.expose("againstW", { type: "Wei" }),
    submittedTx: t.expose("submittedTx", { type: "Hex" }),
    submittedBlock: t.expose("submittedBlock", { type: "BigInt" }),
    resolvedTx: t.expose("resolvedTx", { type: "Hex", nullable: true }),
    retractedTx: t.expose("retractedTx", { type: "Hex", nullable: true }),
    votes: t.field({ type: [Vote], resolve: async ({ id }, _, { rows }) => (await rows.votes(id)) ?? [] }),
  }),
});

Vote.implement({
  fields: (t) => ({
    validator: t.field({ type: Contributor, resolve: ({ validator }) => ({ account: validator }) }),
    support: t.exposeBoolean("support"),
    quality: t.exposeInt("quality", { description: "0 to 10,000." }),
    weightWei: t.expose("weight", { type: "Wei" }),
    txHash: t.expose("txHash", { type: "Hex" }),
  }),
});

Datanet.implement({
  fields: (t) => ({
    id: t.expose("id", { type: "BigInt" }),
    owner: t.field({ type: Contributor, resolve: ({ owner }) => ({ account: owner }) }),
    metadataUri: t.exposeString("metadataUri"),
    metadataHash: t.expose("metadataHash", { type: "Hex" }),
    ownerBps: t.exposeInt("ownerBps"),
    validatorBps: t.exposeInt("validatorBps"),
    quorumBps: t.exposeInt("quorumBps"),
    slashBps: t.exposeInt("slashBps"),
    txHash: t.expose("txHash", { type: "Hex" }),
    contributions: t.field({
      type: ContributionPage,
      args: pageArgs,
      resolve: ({ id }, args, { tx }) => contributionPage(tx, { datanetId: id }, args),
    }),
  }),
});

const Parent = builder.objectRef<{ parentId: `0x${string}`; weightBps: number }>("ModelParent").implement({
  fields: (t) => ({
    weightBps: t.exposeInt("weightBps"),
    model: t.field({
      type: Model,
      resolve: async ({ parentId }, _, { rows }) => found(await rows.model(parentId), `Model ${parentId}`),
    }),
  }),
});

Model.implement({
  fields: (t) => ({
    id: t.expose("id", { type: "Hex" }),
    owner: t.field({ type: Contributor, resolve: ({ owner }) => ({ account: owner }) }),
    kind: t.exposeInt("kind"),
    artifactHash: t.expose("artifactHash", { type: "Hex" }),
    ownerBps: t.exposeInt("ownerBps"),
    pricePerCallWei: t.expose("pricePerCall", { type: "Wei" }),
    uri: t.exposeString("uri"),
    depth: t.exposeInt("depth"),
    txHash: t.expose("txHash", { type: "Hex" }),
    parents: t.field({
      type: [Parent],
      resolve: async ({ id }, _, { rows }) => (await rows.parents(id)) ?? [],
    }),
    training: t.field({
      type: Training,
      nullable: true,
      description: "What an adapter was trained on; null for a model that published nothing.",
      resolve: async ({ id }, _, { rows }) => (await rows.training(id)) ?? null,
    }),
    faithfulness: t.field({
      type: [Faithfulness],
      description:
        "How true the influence on its answers is, the newest engine version first; empty where nobody measured.",
      resolve: async ({ artifactHash }, _, { rows }) => (await rows.faithfulness(artifactHash)) ?? [],
    }),
  }),
});

Training.implement({
  description: "ModelRegistry.TrainingManifestPublished: of several by one model the first, which counts.",
  fields: (t) => ({
    manifestHash: t.expose("manifestHash", { type: "Hex", description: "keccak of the training payload." }),
    daRef: t.expose("daRef", { type: "Hex", description: "keccak of the EigenDA certificate." }),
    blockNumber: t.expose("blockNumber", { type: "BigInt" }),
    txHash: t.expose("txHash", { type: "Hex" }),
  }),
});

Faithfulness.implement({
  description: "One figure of the faithfulness report: docs/faithfulness.md says what each measure is.",
  fields: (t) => ({
    engineVersion: t.exposeInt("engineVersion"),
    methodHash: t.expose("methodHash", {
      type: "Hex",
      nullable: true,
      description:
        "Of the engine that measured it; an epoch scored by the same code and settings has it too.",
    }),
    measure: t.exposeString("measure"),
    value: t.exposeFloat("value"),
    low: t.exposeFloat("low", { nullable: true, description: "Bounds of the 95 % interval." }),
    high: t.exposeFloat("high", { nullable: true }),
    unit: t.exposeString("unit"),
    seedCount: t.exposeInt("seedCount"),
    conditions: t.exposeString("conditions"),
  }),
});

const ZeroReason = builder.objectRef<{ reason: number; count: number }>("ZeroReason").implement({
  description: "How often a record of the account was retrieved and earned nothing.",
  fields: (t) => ({
    reason: t.exposeInt("reason"),
    reasonText: t.string({ resolve: ({ reason }) => reasonText(reason) }),
    count: t.exposeInt("count"),
  }),
});

Contributor.implement({
  description: "An account that contributes, owns, validates or serves.",
  fields: (t) => ({
    account: t.expose("account", { type: "Hex" }),
    earnedWei: t.field({
      type: "Wei",
      description: "Cumulative, as of the active root.",
      resolve: async ({ account }, _, { rows }) => (await rows.payable(account))?.cumulativeWei ?? 0n,
    }),
    claimedWei: t.field({
      type: "Wei",
      resolve: async ({ account }, _, { rows }) => (await rows.claimedWei(account)) ?? 0n,
    }),
    claimable: t.field({
      type: RewardLeaf,
      nullable: true,
      description: "Leaf of the active root, with what is left to claim and the proof.",
      resolve: async ({ account }, _, { rows }) => (await rows.payable(account)) ?? null,
    }),
    contributions: t.field({
      type: ContributionPage,
      args: pageArgs,
      resolve: ({ account }, args, { tx }) => contributionPage(tx, { account }, args),
    }),
    entries: t.field({
      type: EntryPage,
      args: pageArgs,
      resolve: ({ account }, args, { tx }) => entryPage(tx, eq(entry.account, account), args),
    }),
    zeroReasons: t.field({
      type: [ZeroReason],
      resolve: ({ account }, _, { tx }) => zeroReasons(tx, account),
    }),
  }),
});

builder.queryFields((t) => ({
  contributor: t.field({
    type: Contributor,
    args: { account: t.arg({ type: "Hex", required: true }) },
    resolve: (_, { account }) => ({ account }),
  }),
  contribution: t.field({
    type: Contribution,
    nullable: true,
    args: { id: t.arg({ type: "BigInt", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.contribution(id)) ?? null,
  }),
  chunk: t.field({
    type: Chunk,
    nullable: true,
    args: { id: t.arg({ type: "Hex", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.chunk(id)) ?? null,
  }),
  datanets: t.field({
    type: DatanetPage,
    args: pageArgs,
    resolve: (_, args, { tx }) => datanetPage(tx, args),
  }),
  datanet: t.field({
    type: Datanet,
    nullable: true,
    args: { id: t.arg({ type: "BigInt", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.datanet(id)) ?? null,
  }),
  model: t.field({
    type: Model,
    nullable: true,
    args: { id: t.arg({ type: "Hex", required: true }) },
    resolve: async (_, { id }, { rows }) => (await rows.model(id)) ?? null,
  }),
}));
