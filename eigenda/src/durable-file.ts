import { randomUUID } from "node:crypto";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** How the name of a file that is still being written ends. A killed process may leave one behind. */
export const unfinishedSuffix = ".tmp";

/**
 * Writes a file whole or not at all, also if the machine stops: temporary file, fsync, rename, fsync of the folder, which is made if absent. Replaces what was there.
 * Several processes may write the same file: the last one's stays.
 */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}${unfinishedSuffix}`;
  await synced(temporary, "wx", (file) => file.writeFile(bytes));
  await rename(temporary, path);
  await synced(dirname(path), "r", async () => undefined);
}

async function synced(
  path: string,
  flags: string,
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags);
  try {
    await work(file);
    await file.sync();
  } finally {
    await file.close();
  }
}
