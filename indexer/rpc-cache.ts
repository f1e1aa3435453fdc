import postgres, { type Sql } from "postgres";
import { createPublicClient, http } from "viem";

/**
 * Deletes what Ponder has fetched of this chain if the node has another block than the newest one kept. Ponder keeps
 * blocks it calls final and never asks again; a development chain that began anew, or lost more than that, would be
 * indexed from blocks that are gone. Its own `disableCache` fetches all again at every start, yet leaves old rows in.
 */
export async function clearStaleCache(databaseUrl: string, rpcUrl: string, chainId: number): Promise<void> {
  const sql = postgres(databaseUrl, {
    max: 1,
    fetch_types: false,
    connection: { application_name: "indexer-cache" },
  });
  try {
    const [exists] = await sql`select to_regclass('ponder_sync.blocks') as name`;
    if (exists?.name === null || (await isCurrent(sql, rpcUrl, chainId))) return;
    const tables = await sql<{ name: string }[]>`
      select table_name as name from information_schema.columns
      where table_schema = 'ponder_sync' and column_name = 'chain_id' order by table_name`;
    for (const { name } of tables)
      await sql`delete from ${sql(`ponder_sync.${name}`)} where chain_id = ${chainId}`;
    console.warn("indexer: the chain is another than the one fetched before; it is fetched anew");
  } finally {
    await sql.end();
  }
}

async function isCurrent(sql: Sql, rpcUrl: string, chainId: number): Promise<boolean> {
  const [newest] = await sql<{ number: string; hash: string }[]>`
    select number, hash from ponder_sync.blocks where chain_id = ${chainId} order by number desc limit 1`;
  if (newest === undefined) return true;
  const client = createPublicClient({ transport: http(rpcUrl) });
  const block = await client.request({
    method: "eth_getBlockByNumber",
    params: [`0x${BigInt(newest.number).toString(16)}`, false],
  });
  return block?.hash === newest.hash;
}
