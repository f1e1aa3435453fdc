import { asc } from "drizzle-orm";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { UsageError } from "../arguments.ts";

/**
 * Datanets by number, or by the end of their metadata URI (`…/libraries`); of several with one name the first. Ascending.
 * @throws UsageError naming one that is unknown, and those there are.
 */
export async function findDatanets(
  db: Drizzle,
  named: readonly string[],
): Promise<{ id: bigint; name: string }[]> {
  const { id, metadataUri } = onchain.datanet;
  const rows = await db.select({ id, metadataUri }).from(onchain.datanet).orderBy(asc(id));
  const known = rows.map((row) => ({ id: row.id, name: row.metadataUri.split("/").at(-1)! }));
  const found = named.map((name) => {
    const datanet = known.find((one) => one.id.toString() === name || one.name === name);
    if (datanet !== undefined) return datanet;
    const list = known.map((one) => `${one.id} (${one.name})`).join(", ");
    throw new UsageError(`There is no Datanet ${name}. There are: ${list || "none yet"}.`);
  });
  const distinct = new Map(found.map((one) => [one.id, one]));
  return [...distinct.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
