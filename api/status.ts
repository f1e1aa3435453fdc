import { desc } from "drizzle-orm";
import type { PublicClient } from "viem";
import { onchain } from "#schema/bind";
import type { Transaction } from "#schema/database";
import { finalBlock } from "#schema/finality";

/** Blocks: the final one, the newest with an indexed event, the chain's head; null while the indexer starts. */
export type Status = {
  chainBlock: bigint;
  indexedBlock: bigint | null;
  finalBlock: bigint | null;
  /** Seconds between the head and the final block by the chain's clock; null while there is none. */
  finalLagSeconds: bigint | null;
};

export async function readStatus(db: Transaction, client: PublicClient): Promise<Status> {
  const head = await client.getBlock();
  const final = await finalBlock({ db, client });
  if (final === undefined) {
    return { chainBlock: head.number, indexedBlock: null, finalBlock: null, finalLagSeconds: null };
  }
  const { event } = onchain;
  const [newest] = await db
    .select({ blockNumber: event.blockNumber })
    .from(event)
    .orderBy(desc(event.id))
    .limit(1);
  const { timestamp } = await client.getBlock({ blockNumber: final.blockNumber });
  return {
    chainBlock: head.number,
    indexedBlock: newest?.blockNumber ?? null,
    finalBlock: final.blockNumber,
    finalLagSeconds: head.timestamp - timestamp,
  };
}
