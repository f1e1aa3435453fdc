import { desc, lte, sql } from "drizzle-orm";
import { BlockNotFoundError, type Hex, type PublicClient } from "viem";
import { onchain } from "./bind.ts";
import type { Drizzle } from "./database.ts";
import { PipelineError } from "./errors.ts";

/** Up to where nothing can be reorganised any more. */
export type FinalBlock = {
  /** Lower of the two below: events of higher blocks do not exist for whoever scores, settles or pays. */
  blockNumber: bigint;
  /** Ponder's checkpoint: 30 to 60 blocks behind its head on an OP chain. */
  indexedBlock: bigint;
  /** The node's `finalized`. */
  chainBlock: bigint;
};

type Reader = { db: Drizzle; client: Pick<PublicClient, "getBlock" | "getChainId"> };

/**
 * The final block, after the stored hash of the newest event up to it was compared with the node's: since blocks
 * chain, that one vouches for all before. Undefined while the indexer has not published its views.
 *
 * @throws DeepReorgError if the chain left what was indexed as final; Ponder itself goes on serving the old rows.
 */
export async function finalBlock(reader: Reader): Promise<FinalBlock | undefined> {
  const [chainId, { number: chainBlock }] = await Promise.all([
    reader.client.getChainId(),
    reader.client.getBlock({ blockTag: "finalized" }),
  ]);
  const indexedBlock = await readIndexedBlock(reader.db, chainId);
  if (indexedBlock === undefined) return undefined;
  const isChainBehind = chainBlock < indexedBlock;
  const blockNumber = isChainBehind ? chainBlock : indexedBlock;
  const orphan = await findOrphan(reader, blockNumber);
  if (orphan) throw new DeepReorgError(orphan);
  return { blockNumber, indexedBlock, chainBlock };
}

/** An event whose block the node does not have (any more). */
export type Orphan = { eventId: string; blockNumber: bigint; blockHash: Hex };

/**
 * An event of the lowest block up to `blockNumber` that is not the node's; undefined if there is none. One row and one
 * request then, O(log n) of both otherwise. Above the final block, rows of a reorganised block count as orphans for
 * as long as Ponder takes to see the new one.
 */
export async function findOrphan(reader: Reader, blockNumber: bigint): Promise<Orphan | undefined> {
  let orphan = await readNewest(reader.db, blockNumber);
  if (orphan === undefined || (await isOnChain(reader, orphan))) return undefined;
  let canonicalBlock = -1n;
  while (canonicalBlock + 1n < orphan.blockNumber) {
    const middle: bigint = (canonicalBlock + orphan.blockNumber) / 2n;
    const earlier: Orphan | undefined = await readNewest(reader.db, middle);
    if (earlier && !(await isOnChain(reader, earlier))) orphan = earlier;
    else canonicalBlock = middle;
  }
  return orphan;
}

/** undefined_table and invalid_schema_name: Ponder makes the views when it has caught up. */
const missingViewCodes = ["42P01", "3F000"];

/** True for the error of a query on the views before there are any. */
export function isNotIndexedYet(error: unknown): boolean {
  return missingViewCodes.includes((error as { code?: string } | undefined)?.code ?? "");
}

async function readIndexedBlock(db: Drizzle, chainId: number): Promise<bigint | undefined> {
  try {
    // A checkpoint is 10 digits of time, 16 of chain, 16 of block, and more.
    const [row] = await db.execute<{ block: string }>(
      sql`select substr(finalized_checkpoint, 27, 16)::numeric as block
          from onchain._ponder_checkpoint where chain_id = ${chainId}`,
    );
    return row && BigInt(row.block);
  } catch (error) {
    if (isNotIndexedYet(error)) return undefined;
    throw error;
  }
}

async function readNewest(db: Drizzle, blockNumber: bigint): Promise<Orphan | undefined> {
  const { id, blockNumber: number, blockHash } = onchain.event;
  const [row] = await db
    .select({ eventId: id, blockNumber: number, blockHash })
    .from(onchain.event)
    .where(lte(number, blockNumber))
    .orderBy(desc(number))
    .limit(1);
  return row;
}

async function isOnChain({ client }: Reader, { blockNumber, blockHash }: Orphan): Promise<boolean> {
  try {
    return (await client.getBlock({ blockNumber })).hash === blockHash;
  } catch (error) {
    if (error instanceof BlockNotFoundError) return false;
    throw error;
  }
}

/** The remedy is to index and rebuild anew: `tributary rebuild`. */
export class DeepReorgError extends PipelineError {
  override readonly name = "DeepReorgError";
  readonly orphan: Orphan;
  constructor(orphan: Orphan) {
    super(
      `the chain has another block ${orphan.blockNumber} than ${orphan.blockHash}, which was indexed as final. ` +
        "Rebuild from the chain (tributary rebuild).",
      { code: "deep_reorg", retryable: false },
    );
    this.orphan = orphan;
  }
}
