import { and, eq, inArray } from "drizzle-orm";
import type { Hex } from "viem";
import { sum } from "#schema/apportion";
import type { Drizzle } from "#schema/database";
import { invariant, type PipelineError } from "#schema/errors";
import { adapter, chunk, trainingRecord } from "#schema/offchain/index";
import { type GateRecord, throughGate } from "../composite/gate.ts";
import { GradientNotFiniteError } from "../influence/block.ts";
import { type Pool, PoolTaskError } from "../pool.ts";
import type { Task } from "../queue/run-jobs.ts";
import { recordRefusal } from "../refusal.ts";
import { quantise } from "../score/quantise.ts";
import { readManifest } from "./files.ts";
import { isRealNats } from "./influence.ts";
import { RecordsTooManyError, WaypointsMissingError } from "./methods.ts";
import { isOurs, recordScores } from "./score.ts";
import type { AdapterOpener, BuildProgress, OpenedAdapter } from "./store.ts";
import { StoreTooLargeError } from "./store-shape.ts";

export type StoreJobParts = {
  db: Drizzle;
  pool: Pool;
  open: AdapterOpener;
  methodHash: Hex;
  onProgress: (modelId: Hex, progress: BuildProgress) => void;
};

/**
 * Build an adapter's gradient store, judge its records by the gate, and call it ready; or record why it is refused, and
 * forget it. Doing it again changes nothing; cancelled, it stops before the next shard or question.
 * @throws ModelChangedError where the base's files are no longer those the engine opened.
 */
export async function buildAdapterStore(
  parts: StoreJobParts,
  { data: { eventId, modelId }, signal }: Task<"build-store">,
): Promise<void> {
  const { db, pool, methodHash } = parts;
  // Graphs of gradients read the weights when they are opened, whenever that is.
  await pool.assertSameFiles();
  const [row] = await db.select().from(adapter).where(eq(adapter.modelId, modelId));
  if (row === undefined || row.state === "ready") return;
  const of = await readManifest(db, row.contentHash);
  try {
    const opened = await parts.open(of, modelId, {
      onProgress: (progress) => parts.onProgress(modelId, progress),
      signal,
    });
    const judged = await judge(parts, opened, { modelId, gateRows: of.gateRows, signal });
    await writeReady(db, modelId, methodHash, judged);
  } catch (error) {
    if (!isOfAdapter(error)) throw error;
    const { code, message: reason } = error;
    await db.transaction(async (tx) => {
      await recordRefusal(tx, { eventId, subject: `training:${modelId}`, code, reason, methodHash });
      await tx.delete(trainingRecord).where(eq(trainingRecord.modelId, modelId));
      await tx.delete(adapter).where(eq(adapter.modelId, modelId));
    });
  }
}

/** Whether another try ends the same, here and elsewhere: it is the adapter's own, and nothing that happened on this machine. */
function isOfAdapter(error: unknown): error is PipelineError {
  if (error instanceof PoolTaskError) return !error.retryable && !isOurs(error.code);
  const kinds = [StoreTooLargeError, RecordsTooManyError, GradientNotFiniteError, WaypointsMissingError];
  return kinds.some((kind) => error instanceof kind);
}

type Judged = { chunkId: Hex; passesGate: boolean; gateSumMicro: bigint; gateCount: number };

/** Influence of every record on every row of the gate, under the adapter, asked without passages. */
async function judge(
  { db, pool }: StoreJobParts,
  opened: OpenedAdapter,
  { modelId, gateRows, signal }: { modelId: Hex; gateRows: readonly Hex[]; signal: AbortSignal },
): Promise<Judged[]> {
  const texts = await readTexts(db, gateRows);
  const recordIds = opened.records.map(({ chunkId }) => chunkId);
  const influences = recordIds.map(() => new BigInt64Array(gateRows.length));
  for (const [at, chunkId] of gateRows.entries()) {
    signal.throwIfAborted();
    const query = texts.get(chunkId)!;
    const asked = await recordScores(pool, opened, { query, text: `${query.source} ${query.text}` });
    if (!asked.ok) throw new PoolTaskError(asked.code, asked.reason, asked.retryable);
    const nats = Array.from(asked.scores, (score) => score / recordIds.length);
    if (!nats.every(isRealNats)) throw new PoolTaskError("not-finite", "an influence on the gate", false);
    for (const [index, value] of nats.entries()) influences[index]![at] = quantise(value);
  }
  const owners = await readOwners(db, modelId);
  const records = recordIds.map((recordId, index): GateRecord => {
    return { recordId, owner: owners.get(recordId)!, influencesMicro: influences[index]! };
  });
  const passing = throughGate(records);
  return recordIds.map((chunkId, index) => ({
    chunkId,
    passesGate: passing.has(chunkId),
    gateSumMicro: sum([...influences[index]!]),
    gateCount: gateRows.length,
  }));
}

async function readTexts(db: Drizzle, chunkIds: readonly Hex[]) {
  const { id, source, text } = chunk;
  const rows = await db
    .select({ id, source, text })
    .from(chunk)
    .where(inArray(id, [...chunkIds]));
  invariant(rows.length === chunkIds.length, "rows of a checked manifest are chunks");
  return new Map(rows.map((row) => [row.id, { source: row.source, text: row.text }]));
}

async function readOwners(db: Drizzle, modelId: Hex): Promise<Map<Hex, Hex>> {
  const { id, contributor } = chunk;
  const rows = await db
    .select({ id, contributor })
    .from(trainingRecord)
    .innerJoin(chunk, eq(chunk.id, trainingRecord.chunkId))
    .where(eq(trainingRecord.modelId, modelId));
  return new Map(rows.map((row) => [row.id, row.contributor]));
}

async function writeReady(
  db: Drizzle,
  modelId: Hex,
  methodHash: Hex,
  judged: readonly Judged[],
): Promise<void> {
  await db.transaction(async (tx) => {
    for (const [index, { chunkId: _, ...values }] of judged.entries()) {
      await tx
        .update(trainingRecord)
        .set(values)
        .where(and(eq(trainingRecord.modelId, modelId), eq(trainingRecord.index, index)));
    }
    await tx.update(adapter).set({ state: "ready", methodHash }).where(eq(adapter.modelId, modelId));
  });
}
