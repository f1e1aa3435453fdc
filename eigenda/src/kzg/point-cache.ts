import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { writeDurably } from "../durable-file.ts";

const checksumBytes = 32;

/** Points kept in a file as sha256(points) ‖ points. Null if it is absent, damaged or of another size: derive them anew. */
export async function readPointCache(path: string, pointBytes: number): Promise<Uint8Array | null> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null || file.length !== checksumBytes + pointBytes) return null;
  const points = file.subarray(checksumBytes);
  return sha256(points).equals(file.subarray(0, checksumBytes)) ? points : null;
}

export function writePointCache(path: string, points: Uint8Array): Promise<void> {
  return writeDurably(path, Buffer.concat([sha256(points), points]));
}

/** The same bytes in memory that threads share. */
export function toShared(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
