import { and, asc, desc, eq, max } from "drizzle-orm";
import { reputation, slashProposal } from "#schema/offchain/50-settlement";
import { builder } from "../builder.ts";
import { listSizeAssumed } from "../limits.ts";
import { Contributor, Datanet, Reputation, SlashProposal, Standing } from "./refs.ts";

Reputation.implement({
  description: "What public events say of an account, as of an epoch. Computed anew by each engine version.",
  fields: (t) => ({
    epochId: t.expose("epochId", { type: "BigInt" }),
    role: t.exposeString("role", { description: "contributor or validator." }),
    datanet: t.field({
      type: Datanet,
      nullable: true,
      description: "Null over all Datanets.",
      resolve: async ({ datanetId }, _, { rows }) =>
        datanetId === 0n ? null : ((await rows.datanet(datanetId)) ?? null),
    }),
    goodMicro: t.expose("goodMicro", {
      type: "BigInt",
      description:
        "Decayed evidence for the account, millionths of a case: accepted records, passed gates, votes that settled as it voted.",
    }),
    badMicro: t.expose("badMicro", {
      type: "BigInt",
      description:
        "The same against it: rejections, duplicates, failed gates, slashings, votes that settled otherwise.",
    }),
    attenuationWad: t.expose("attenuationWad", {
      type: "BigInt",
      description:
        "What a contributor's pay is multiplied by: between a half and one. A validator's moves no money.",
    }),
    peerPredictionMicro: t.expose("peerPredictionMicro", {
      type: "BigInt",
      nullable: true,
      description: "A validator's agreement with its peers beyond chance, millionths of −1 to 1.",
    }),
  }),
});

Standing.implement({
  description: "Attenuation of a contributor in one model's epoch: its lines were multiplied by it.",
  fields: (t) => ({
    modelId: t.expose("modelId", { type: "Hex" }),
    account: t.field({ type: Contributor, resolve: ({ account }) => ({ account }) }),
    attenuationWad: t.expose("attenuationWad", { type: "BigInt" }),
  }),
});

const Evidence = builder
  .objectRef<{ kind: string; evidenceId: string; epoch: number }>("SlashEvidence")
  .implement({
    description: "A confirmed violation: a copied chunk, or a record that failed a model's gate.",
    fields: (t) => ({
      kind: t.exposeString("kind"),
      evidenceId: t.exposeString("evidenceId", { description: "chunkId, or modelId:chunkId." }),
      epoch: t.exposeInt("epoch"),
    }),
  });

SlashProposal.implement({
  description:
    "An account whose confirmed violations call for slashing. A proposal: nothing here carries it out.",
  fields: (t) => ({
    epochId: t.expose("epochId", { type: "BigInt" }),
    account: t.field({ type: Contributor, resolve: ({ account }) => ({ account }) }),
    datanet: t.field({
      type: Datanet,
      nullable: true,
      resolve: async ({ datanetId }, _, { rows }) => (await rows.datanet(datanetId)) ?? null,
    }),
    scoreMilli: t.expose("scoreMilli", { type: "BigInt", description: "Decayed points, in thousandths." }),
    evidence: t.field({
      type: [Evidence],
      resolve: ({ evidence }) =>
        (evidence as { kind: string; evidenceId: string; epoch: number }[]).slice(0, evidenceMax),
    }),
  }),
});

/** Pieces of evidence told of one proposal: the first ones. */
const evidenceMax = 100;

builder.objectField(Contributor, "reputations", (t) =>
  t.field({
    type: [Reputation],
    description: "As of the newest epoch, over all Datanets first. Empty for who has no public history.",
    resolve: async ({ account }, _, { tx }) => {
      const [newest] = await tx
        .select({ epochId: max(reputation.epochId) })
        .from(reputation)
        .where(eq(reputation.account, account));
      if (newest?.epochId == null) return [];
      return tx
        .select()
        .from(reputation)
        .where(and(eq(reputation.account, account), eq(reputation.epochId, newest.epochId)))
        .orderBy(asc(reputation.role), asc(reputation.datanetId))
        .limit(listSizeAssumed);
    },
  }),
);

builder.queryField("slashProposals", (t) =>
  t.field({
    type: [SlashProposal],
    description: `Of the newest epoch that has any, at most ${listSizeAssumed}, by score.`,
    resolve: async (_, __, { tx }) => {
      const [newest] = await tx.select({ epochId: max(slashProposal.epochId) }).from(slashProposal);
      if (newest?.epochId == null) return [];
      return tx
        .select()
        .from(slashProposal)
        .where(eq(slashProposal.epochId, newest.epochId))
        .orderBy(desc(slashProposal.scoreMilli), asc(slashProposal.account), asc(slashProposal.datanetId))
        .limit(listSizeAssumed);
    },
  }),
);
