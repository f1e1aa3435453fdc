import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { AdapterError } from "./adapter.ts";

/**
 * Make a folder that appears with everything `fill` puts into it, or not at all. An empty folder may be there.
 * @throws AdapterError `adapter-exists` if it holds anything; whatever `fill` throws.
 */
export async function createFolder(folder: string, fill: (partial: string) => Promise<void>): Promise<void> {
  const path = resolve(folder);
  const partial = join(dirname(path), `.${basename(path)}-${randomUUID()}`);
  await mkdir(partial, { recursive: true });
  try {
    await fill(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (isOccupied(error))
      throw new AdapterError("adapter-exists", folder, "something is there already", error);
    throw error;
  }
}

function isOccupied(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR";
}
