import type { PgBoss } from "pg-boss";
import type { Transaction } from "#schema/database";
import { type EventRow, readEvent } from "#schema/events";
import { enqueue } from "./queue/queues.ts";

/** Name of the engine's cursor over the final events. */
export const cursorName = "engine";

/** `outcome` of ContributionResolved that makes a contribution's chunks retrievable. */
export const acceptedOutcome = 2;

/** What a final event asks for: a job, enqueued in the transaction that moves the cursor. Other events ask for nothing. */
export async function takeEvent(boss: PgBoss, tx: Transaction, event: EventRow): Promise<void> {
  const resolved = readEvent(event, "DatanetRegistry", "ContributionResolved");
  if (resolved?.outcome === acceptedOutcome) {
    await enqueue(boss, tx, "fetch-contribution", [
      { eventId: event.id, contributionId: resolved.batchId.toString() },
    ]);
  }
  const published = readEvent(event, "ModelRegistry", "TrainingManifestPublished");
  if (published !== undefined) {
    const { modelId } = published;
    await enqueue(boss, tx, "fetch-training", [{ eventId: event.id, modelId }]);
  }
  const settled = readEvent(event, "SettlementHub", "BatchSettled");
  if (settled !== undefined) {
    await enqueue(boss, tx, "fetch-batch", [{ eventId: event.id, batchId: settled.batchId.toString() }]);
  }
}
