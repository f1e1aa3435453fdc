import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { g1AffineBytes, g2AffineBytes } from "../curve/points.ts";
import { writeDurably } from "../durable-file.ts";
import type { SrsPoints } from "./srs.ts";

const checksumBytes = 32;

/** Points kept in a file as sha256(points) ‖ points. Null if it is absent or damaged: make them anew. */
export async function readPointCache(path: string): Promise<Uint8Array | null> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null) return null;
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

/** The lists of so many symbols that stand one after the other: that in G1, then both in G2 or none. */
export function splitPoints(bytes: Uint8Array, symbolsMax: number): SrsPoints {
  const g1End = symbolsMax * g1AffineBytes;
  const g2End = g1End + symbolsMax * g2AffineBytes;
  const g1 = bytes.subarray(0, g1End);
  if (bytes.length === g1End) return { g1, g2: null, g2Trailing: null };
  return { g1, g2: bytes.subarray(g1End, g2End), g2Trailing: bytes.subarray(g2End) };
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
