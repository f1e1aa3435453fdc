import { and, asc, eq, lt } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import type { Hex, PublicClient } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { invariant } from "#schema/errors";
import { readEvent } from "#schema/events";
import { adapter, trainingRecord } from "#schema/offchain/index";
import { readSnapshot } from "#schema/snapshot";
import { kinds } from "#settlement/blob/payload";
import { isUnavailable } from "#settlement/blob/provenance";
import * as manifest from "#settlement/blob/training/manifest";
import * as tree from "#settlement/tree/tree";
import { rowsPerInsert } from "../constants.ts";
import { type BlobReader, fetchPayload, keepPayload } from "../fetch/payload.ts";
import { type Pool, PoolTaskError } from "../pool.ts";
import { enqueue } from "../queue/queues.ts";
import type { Task } from "../queue/run-jobs.ts";
import { recordRefusal } from "../refusal.ts";
import { AdapterFilesMissingError, type AdapterPlaces, adapterFiles, waypointFiles } from "./files.ts";
import { type Base, type ModelOnChain, modelFault, rowsFault } from "./manifest-fault.ts";
import { type InfluenceMethod, needsWaypoints, WaypointsMissingError } from "./methods.ts";

export type TrainingParts = {
  db: Drizzle;
  boss: PgBoss;
  reader: BlobReader;
  client: Pick<PublicClient, "getBlock">;
  pool: Pool;
  places: AdapterPlaces;
  adaptableModules: readonly string[];
  method: InfluenceMethod;
  methodHash: Hex;
};

type Fault = { code: string; reason: string };
type Published = typeof onchain.trainingManifest.$inferSelect;

/**
 * Fetch what an adapter was trained on, compare all of it with the chain, and write its records with a job for its store;
 * or record why it is refused. Doing it again changes nothing. The manifest published first counts; the same hash published
 * again is another blob of it.
 * @throws SnapshotPendingError while a record of the snapshot is still to be fetched; AdapterFilesMissingError.
 */
export async function fetchTraining(
  parts: TrainingParts,
  { data: { eventId }, isLastTry }: Task<"fetch-training">,
): Promise<void> {
  const { db, boss, reader } = parts;
  const [published] = await db
    .select()
    .from(onchain.trainingManifest)
    .where(eq(onchain.trainingManifest.eventId, eventId));
  invariant(published !== undefined, `a final event has its training manifest ${eventId}`);
  const { modelId, manifestHash, daCommitment } = published;
  const subject = `training:${modelId}`;
  const refuse = ({ code, reason }: Fault, methodHash?: Hex) =>
    recordRefusal(db, { eventId, subject, code, reason, methodHash });
  if (await isKnown(db, modelId)) return;
  const counted = await firstHash(db, modelId);
  if (counted !== manifestHash)
    return refuse({ code: "manifest_superseded", reason: `the model's manifest is ${counted}` });
  const fetched = await fetchPayload(reader, { daCommitment, contentHash: manifestHash }, isLastTry);
  if (!fetched.ok) return refuse(fetched);
  const decoded = manifest.decode(fetched.bytes);
  if (!decoded.ok) return refuse({ code: "malformed_payload", reason: decoded.reason });
  const fault = await findFault(parts, published, decoded.value, isLastTry);
  // Another engine may replay the adapter's base, or ask nothing of its waypoints; files that are gone are gone for all.
  if (fault !== null)
    return isUnavailable({ subject, code: fault.code }) ? refuse(fault) : refuse(fault, parts.methodHash);
  await db.transaction(async (tx) => {
    await keepPayload(tx, kinds.training, manifestHash, fetched);
    const isNew = await writeAdapter(tx, published, decoded.value);
    if (isNew) await enqueue(boss, tx, "build-store", [{ eventId, modelId }]);
  });
}

async function isKnown(db: Drizzle, modelId: Hex): Promise<boolean> {
  const rows = await db.select({ id: adapter.modelId }).from(adapter).where(eq(adapter.modelId, modelId));
  return rows.length > 0;
}

/** Hash of the manifest that the model's owner published first. */
async function firstHash(db: Drizzle, modelId: Hex): Promise<Hex> {
  const { trainingManifest } = onchain;
  const [row] = await db
    .select({ manifestHash: trainingManifest.manifestHash })
    .from(trainingManifest)
    .where(eq(trainingManifest.modelId, modelId))
    .orderBy(asc(trainingManifest.eventId))
    .limit(1);
  invariant(row !== undefined, "a published manifest has its row");
  return row.manifestHash;
}

async function findFault(
  parts: TrainingParts,
  published: Published,
  of: manifest.Manifest,
  isLastTry: boolean,
): Promise<Fault | null> {
  const { db, client } = parts;
  const model = await readModel(db, published);
  const fault = modelFault(of, model, await readBase(parts, of.baseModelId));
  if (fault !== null) return fault;
  // Before the published block, which is final: so is this one.
  const block = await client.getBlock({ blockNumber: of.snapshotBlock });
  const records = await readSnapshot(db, of.datanetIds, of.snapshotBlock);
  return rowsFault(of, model, block.hash, records) ?? (await findFilesFault(parts, of, isLastTry));
}

/** Whether the runtime can load the adapter on its base, and the method its waypoints: their files are a stranger's. */
async function findFilesFault(
  parts: TrainingParts,
  of: manifest.Manifest,
  isLastTry: boolean,
): Promise<Fault | null> {
  try {
    return await loadFiles(parts, of);
  } catch (error) {
    const isFinal = error instanceof PoolTaskError ? !error.retryable : isLastTry;
    if (isFinal && (error instanceof PoolTaskError || error instanceof AdapterFilesMissingError))
      return { code: error.code, reason: error.message };
    throw error;
  }
}

async function loadFiles(
  { pool, places, method }: TrainingParts,
  of: manifest.Manifest,
): Promise<Fault | null> {
  const files = await adapterFiles(places, of);
  const { blocks } = await pool.run({ kind: "load-adapter", adapter: files, optimizerPath: null });
  if (!needsWaypoints(method)) return null;
  if (of.waypoints.length === 0) {
    const { code, message: reason } = new WaypointsMissingError(of.adapterHash, method);
    return { code, reason };
  }
  for (const { step, adapter: waypoint, optimizerPath } of await waypointFiles(places, of)) {
    const loaded = await pool.run({ kind: "load-adapter", adapter: waypoint, optimizerPath });
    if (JSON.stringify(loaded.blocks) !== JSON.stringify(blocks))
      return { code: "adapter_mismatch", reason: `after step ${step} it has other matrices than at its end` };
  }
  return null;
}

async function readModel(db: Drizzle, published: Published): Promise<ModelOnChain> {
  const { model, lineageEdge } = onchain;
  const { modelId, blockNumber: publishedBlock } = published;
  const [row] = await db.select().from(model).where(eq(model.id, modelId));
  invariant(row !== undefined, "only a registered model's owner publishes its manifest");
  const parents = await db
    .select({ id: lineageEdge.parentId })
    .from(lineageEdge)
    .where(eq(lineageEdge.childId, modelId))
    .orderBy(asc(lineageEdge.parentId));
  const snapshots = await readSnapshots(db, published);
  const { owner, kind, artifactHash } = row;
  const parentIds = parents.map(({ id }) => id);
  return { modelId, owner, kind, artifactHash, parentIds, snapshots, publishedBlock };
}

/** Declared before the manifest was published, with its hash, and not empty: an empty root is for retrieval. */
async function readSnapshots(db: Drizzle, { modelId, manifestHash, eventId }: Published) {
  const { event } = onchain;
  const rows = await db
    .select()
    .from(event)
    .where(and(eq(event.contract, "ModelRegistry"), eq(event.name, "DatanetUsed"), lt(event.id, eventId)));
  const used = rows.map((row) => readEvent(row, "ModelRegistry", "DatanetUsed"));
  return used.flatMap((use) =>
    use?.modelId === modelId &&
    use.trainingManifestHash === manifestHash &&
    use.snapshotRoot !== tree.zeroRoot
      ? [{ datanetId: use.datanetId, snapshotRoot: use.snapshotRoot }]
      : [],
  );
}

async function readBase({ db, pool, adaptableModules }: TrainingParts, baseModelId: Hex): Promise<Base> {
  const { model } = onchain;
  const [row] = await db.select({ hash: model.artifactHash }).from(model).where(eq(model.id, baseModelId));
  return { registeredHash: row?.hash ?? null, replayedHash: pool.artifactHash, adaptableModules };
}

/** @returns whether it was not there. */
async function writeAdapter(
  tx: Transaction,
  { modelId, manifestHash: contentHash }: Published,
  of: manifest.Manifest,
): Promise<boolean> {
  const { baseModelId, adapterHash: artifactHash, trainRows } = of;
  const inserted = await tx
    .insert(adapter)
    .values({ modelId, baseModelId, artifactHash, contentHash, state: "fetched" })
    .onConflictDoNothing()
    .returning({ id: adapter.modelId });
  if (inserted.length === 0) return false;
  const rows = trainRows.map((chunkId, index) => ({ modelId, index, chunkId }));
  for (let from = 0; from < rows.length; from += rowsPerInsert)
    await tx.insert(trainingRecord).values(rows.slice(from, from + rowsPerInsert));
  return true;
}
