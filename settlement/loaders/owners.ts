import { and, asc, inArray, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import type { Owners, Tenure } from "../allocation/owners.ts";

const { batch, datanetOwner, modelOwner } = onchain;

/** Owners of these Datanets and models up to `toBlock`, and where these batches were settled. Event ids are the places. */
export async function loadOwners(
  db: Drizzle | Transaction,
  { batchIds, datanetIds, modelIds }: { batchIds: bigint[]; datanetIds: bigint[]; modelIds: Hex[] },
  toBlock: bigint,
): Promise<Owners> {
  const datanets = await db
    .select({ id: datanetOwner.datanetId, from: datanetOwner.eventId, owner: datanetOwner.owner })
    .from(datanetOwner)
    .where(and(inArray(datanetOwner.datanetId, datanetIds), lte(datanetOwner.blockNumber, toBlock)))
    .orderBy(asc(datanetOwner.eventId));
  const models = await db
    .select({ id: modelOwner.modelId, from: modelOwner.eventId, owner: modelOwner.owner })
    .from(modelOwner)
    .where(and(inArray(modelOwner.modelId, modelIds), lte(modelOwner.blockNumber, toBlock)))
    .orderBy(asc(modelOwner.eventId));
  const settled = await db
    .select({ id: batch.id, eventId: batch.eventId })
    .from(batch)
    .where(inArray(batch.id, batchIds));
  return {
    ofDatanet: tenuresOf(datanets),
    ofModel: tenuresOf(models),
    settledAt: new Map(settled.map(({ id, eventId }) => [id, eventId])),
  };
}

function tenuresOf<Id>(rows: readonly { id: Id; from: string; owner: Hex }[]): Map<Id, Tenure[]> {
  const lowercased = rows.map((row) => ({ ...row, owner: row.owner.toLowerCase() as Hex }));
  return Map.groupBy(lowercased, ({ id }) => id);
}
