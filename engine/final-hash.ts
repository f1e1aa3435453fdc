import type { Hex, PublicClient } from "viem";
import type { Drizzle } from "#schema/database";
import { finalBlock } from "#schema/finality";

/** Hash of a block that can no longer change; undefined while it still can. */
export async function readFinalHash(
  db: Drizzle,
  client: PublicClient,
  blockNumber: bigint,
): Promise<Hex | undefined> {
  const final = await finalBlock({ db, client });
  if (final === undefined || final.blockNumber < blockNumber) return undefined;
  return (await client.getBlock({ blockNumber })).hash;
}
