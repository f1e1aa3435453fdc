import { index, onchainTable, primaryKey } from "ponder";

/** One row per `ModelRegistered`. */
export const model = onchainTable("model", (t) => ({
  id: t.hex().primaryKey(),
  owner: t.hex().notNull(),
  kind: t.integer().notNull(),
  artifactHash: t.hex().notNull(),
  configHash: t.hex().notNull(),
  trainingDataRoot: t.hex().notNull(),
  tokenizerHash: t.hex().notNull(),
  ownerBps: t.integer().notNull(),
  provenanceMode: t.integer().notNull(),
  pricePerCall: t.bigint().notNull(),
  uri: t.text().notNull(),
  depth: t.integer().notNull(),
  /** Counts from 1, what was registered. */
  version: t.int8({ mode: "number" }).notNull(),
  /** 0 active, 1 retired. */
  status: t.integer().notNull(),
  serviceTier: t.integer().notNull(),
  blockNumber: t.bigint().notNull(),
  txHash: t.hex().notNull(),
  eventId: t.text().notNull(),
}));

/** Who owned a model from an event on: its registration, each transfer. Event ids sort as the chain does. */
export const modelOwner = onchainTable(
  "model_owner",
  (t) => ({
    modelId: t.hex().notNull(),
    eventId: t.text().notNull(),
    owner: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.modelId, table.eventId] }) }),
);

/** One row per `ModelVersionPublished`; version 1 is the model's own row. */
export const modelVersion = onchainTable(
  "model_version",
  (t) => ({
    modelId: t.hex().notNull(),
    version: t.int8({ mode: "number" }).notNull(),
    artifactHash: t.hex().notNull(),
    evalHash: t.hex().notNull(),
    uri: t.text().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.modelId, table.version] }) }),
);

/** One row per `LineageEdge`. */
export const lineageEdge = onchainTable(
  "lineage_edge",
  (t) => ({
    childId: t.hex().notNull(),
    parentId: t.hex().notNull(),
    weightBps: t.integer().notNull(),
    depth: t.integer().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.childId, table.parentId] }) }),
);

/** One row per model and Datanet named by `DatanetUsed`. */
export const modelDatanet = onchainTable(
  "model_datanet",
  (t) => ({
    modelId: t.hex().notNull(),
    datanetId: t.bigint().notNull(),
    snapshotRoot: t.hex().notNull(),
    trainingManifestHash: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
    eventId: t.text().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.modelId, table.datanetId] }),
    byDatanet: index().on(table.datanetId),
  }),
);

/** One row per `TrainingManifestPublished`. A model's first one says which payload counts. */
export const trainingManifest = onchainTable(
  "training_manifest",
  (t) => ({
    eventId: t.text().primaryKey(),
    modelId: t.hex().notNull(),
    manifestHash: t.hex().notNull(),
    daRef: t.hex().notNull(),
    daCommitment: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
    txHash: t.hex().notNull(),
  }),
  (table) => ({ byModel: index().on(table.modelId) }),
);

/** One row per `ServingNodeRegistered`. */
export const servingNode = onchainTable("serving_node", (t) => ({
  node: t.hex().primaryKey(),
  operator: t.hex().notNull(),
  attestationHash: t.hex().notNull(),
  endpoint: t.text().notNull(),
  isRetired: t.boolean().notNull(),
  eventId: t.text().notNull(),
}));
