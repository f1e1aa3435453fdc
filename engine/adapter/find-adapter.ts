import { and, eq, inArray, lt } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { adapter, refusal } from "#schema/offchain/index";
import * as commitments from "#settlement/blob/commitments";
import { readManifest } from "./files.ts";
import { RecordsTooManyError, WaypointsMissingError } from "./methods.ts";
import type { AdapterOpener, OpenedAdapter } from "./store.ts";
import { StoreTooLargeError } from "./store-shape.ts";

type Receipt = { modelId: Hex; batchId: bigint; adapterSet: Hex };

export type Found =
  | { ok: true; adapter: OpenedAdapter | null }
  | { ok: false; code: "model_unavailable" | "adapter_set_mismatch"; reason: string };

export type FindParts = { db: Drizzle; artifactHash: Hex; open: AdapterOpener; signal: AbortSignal };

/** `kind` of a LoRA in the registry. */
const loraKind = 2;

/**
 * What the model of a receipt is made of here: the base alone, or an adapter of it with its store. Refused where the
 * engine replays another base, the adapter's training was never published before the batch or was refused, or the node
 * signed for other adapters than the model's.
 * @throws AdapterPendingError while its payload is being fetched or its store built.
 */
export async function findAdapter(
  { db, artifactHash, open, signal }: FindParts,
  of: Receipt,
): Promise<Found> {
  const { model } = onchain;
  const [row] = await db.select().from(model).where(eq(model.id, of.modelId));
  const isLora = row?.kind === loraKind;
  const expected = commitments.adapterSet(isLora ? [row.artifactHash] : []);
  if (of.adapterSet !== expected)
    return {
      ok: false,
      code: "adapter_set_mismatch",
      reason: `signed for ${of.adapterSet}, not ${expected}`,
    };
  if (!isLora) {
    if (row?.artifactHash === artifactHash) return { ok: true, adapter: null };
    return unavailable(`this engine replays artifact ${artifactHash}, not ${row?.artifactHash}`);
  }
  const [known] = await db.select().from(adapter).where(eq(adapter.modelId, of.modelId));
  if (known?.state === "ready") {
    const manifest = await readManifest(db, known.contentHash);
    try {
      return { ok: true, adapter: await open(manifest, of.modelId, { signal }) };
    } catch (error) {
      // It became ready under an engine with another method.
      const kinds = [WaypointsMissingError, RecordsTooManyError, StoreTooLargeError];
      if (!kinds.some((kind) => error instanceof kind)) throw error;
      return unavailable((error as Error).message);
    }
  }
  if (known === undefined) {
    const reason = await whyNever(db, of);
    if (reason !== null) return unavailable(reason);
  }
  throw new AdapterPendingError(of.modelId);
}

/** Why there will be no adapter, by what was final before the batch; null where a manifest is still being fetched. */
async function whyNever(db: Drizzle, { modelId, batchId }: Receipt): Promise<string | null> {
  const { batch, trainingManifest } = onchain;
  const [settled] = await db.select({ eventId: batch.eventId }).from(batch).where(eq(batch.id, batchId));
  const published = await db
    .select({ eventId: trainingManifest.eventId })
    .from(trainingManifest)
    .where(and(eq(trainingManifest.modelId, modelId), lt(trainingManifest.eventId, settled!.eventId)));
  if (published.length === 0) return "it is an adapter whose training was not published before the batch";
  const ids = published.map(({ eventId }) => eventId);
  const refused = await db.select().from(refusal).where(inArray(refusal.eventId, ids));
  if (refused.length < ids.length) return null;
  const [first] = refused.sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
  return `its training was refused (${first!.code}): ${first!.reason}`;
}

function unavailable(reason: string): Found {
  return { ok: false, code: "model_unavailable", reason };
}

export class AdapterPendingError extends PipelineError {
  override readonly name = "AdapterPendingError";
  constructor(modelId: Hex) {
    super(`the records of adapter ${modelId} are not stored yet.`, {
      code: "adapter_pending",
      retryable: true,
    });
  }
}
