import { isCausal } from "#schema/estimators";
import { Chunk, Duplicate, Influence, Span, SpanCredit } from "./refs.ts";

const wad = 10n ** 18n;

Influence.implement({
  description: "How much one player moved an answer, under one engine version.",
  fields: (t) => ({
    player: t.exposeString("player", {
      description: "context: a class of duplicates among the passages. adapter: a training record.",
    }),
    chunkId: t.expose("chunkId", { type: "Hex", description: "Of a class, its first registered chunk." }),
    chunk: t.field({
      type: Chunk,
      nullable: true,
      resolve: async ({ chunkId }, _, { rows }) => (await rows.chunk(chunkId)) ?? null,
    }),
    scoreWad: t.expose("scoreWad", { type: "BigInt", description: "Wad of nats; negative where it harmed." }),
    sign: t.string({
      description: "helped, harmed or none.",
      resolve: ({ scoreWad }) => (scoreWad > 0n ? "helped" : scoreWad < 0n ? "harmed" : "none"),
    }),
    standardErrorWad: t.expose("standardErrorWad", {
      type: "BigInt",
      nullable: true,
      description: "Zero where it is exact, null where nobody knows it.",
    }),
    estimator: t.exposeString("estimator", { description: "How it was found." }),
    isCausal: t.boolean({
      nullable: true,
      description:
        "Whether it was seen what changes without the passage or record; false where likeness decided, also in part. Null for an estimator of another version.",
      resolve: ({ estimator }) => isCausal(estimator),
    }),
  }),
});

Duplicate.implement({
  description: "The class of duplicates of a chunk, fixed when it was registered.",
  fields: (t) => ({
    firstChunkId: t.expose("firstChunkId", { type: "Hex" }),
    first: t.field({
      type: Chunk,
      nullable: true,
      description: "The first registered chunk of the class, which is paid for all of it.",
      resolve: async ({ firstChunkId }, _, { rows }) => (await rows.chunk(firstChunkId)) ?? null,
    }),
    isFirst: t.boolean({ resolve: ({ chunkId, firstChunkId }) => chunkId === firstChunkId }),
    noveltyWad: t.expose("noveltyWad", {
      type: "BigInt",
      description: "Part of its text that stands in no earlier record; the rest is not paid.",
    }),
    text: t.string({
      description: "The same in words.",
      resolve: ({ chunkId, firstChunkId, noveltyWad }) => {
        if (chunkId !== firstChunkId)
          return "a duplicate of an earlier registered record, which is paid instead";
        if (noveltyWad === wad) return "stands in no earlier record";
        return `repeats earlier records in ${100 - Number((noveltyWad * 100n) / wad)} % of its text`;
      },
    }),
  }),
});

Span.implement({
  description:
    "Words of an answer that stand word for word in a record. Labelled verbatim: copied, which does not say that it moved the answer, and pays nothing.",
  fields: (t) => ({
    index: t.exposeInt("index", {
      description: "Of the span in the answer; one that stands in several records has a row for each.",
    }),
    answerStart: t.exposeInt("answerStart", { description: "UTF-16 units, inclusive." }),
    answerEnd: t.exposeInt("answerEnd", { description: "Exclusive." }),
    sourceStart: t.exposeInt("sourceStart", { description: "In the chunk's text." }),
    sourceEnd: t.exposeInt("sourceEnd"),
    surpriseMicro: t.expose("surpriseMicro", {
      type: "BigInt",
      description: "How unlikely it is by chance: −ln of the words' frequencies, micro-nats.",
    }),
    occurrenceCount: t.exposeInt("occurrenceCount"),
    chunk: t.field({
      type: Chunk,
      nullable: true,
      resolve: async ({ chunkId }, _, { rows }) => (await rows.chunk(chunkId)) ?? null,
    }),
  }),
});

SpanCredit.implement({
  description:
    "What a class of duplicates has of the words that an answer copies. Each word's surprise is shared over the spans that hold it, each span's over the classes it stands in. Labelled verbatim; pays nothing.",
  fields: (t) => ({
    chunkId: t.expose("chunkId", { type: "Hex", description: "The first registered chunk of the class." }),
    chunk: t.field({
      type: Chunk,
      nullable: true,
      resolve: async ({ chunkId }, _, { rows }) => (await rows.chunk(chunkId)) ?? null,
    }),
    creditMicro: t.expose("creditMicro", {
      type: "BigInt",
      description: "Surprise of the words, −ln of their frequencies, micro-nats.",
    }),
  }),
});
