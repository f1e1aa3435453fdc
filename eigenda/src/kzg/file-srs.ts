import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { decompressG1, g1AffineBytes, g1CompressedBytes, g1ToAffineBytes } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { mainnetSrsAnchor } from "./mainnet-srs.ts";
import type { Srs } from "./srs.ts";

/**
 * The real ceremony's first G1 points, from a file of compressed points without header (a prefix of EigenDA's `g1.point`).
 * Enough to retrieve and verify; dispersing also needs the G2 files.
 * Decompression takes about 1 ms a point on this thread.
 * @throws EigenDaError invalid if the checksum differs, the size is no multiple of 32, or a point is malformed.
 */
export async function filePrefixSrs(options: {
  g1Path: string;
  sha256: string;
  symbolsMax?: number;
}): Promise<Srs> {
  const file = await readFile(options.g1Path);
  const digest = createHash("sha256").update(file).digest("hex");
  if (digest !== options.sha256) {
    throw new EigenDaError(
      "invalid",
      `${options.g1Path} has another checksum. Wanted: ${options.sha256}. Given: ${digest}.`,
    );
  }
  if (file.length % g1CompressedBytes !== 0) {
    throw new EigenDaError(
      "invalid",
      `${options.g1Path} is no list of 32-byte points: ${file.length} bytes.`,
    );
  }
  const symbolsMax = Math.min(
    options.symbolsMax ?? Number.POSITIVE_INFINITY,
    file.length / g1CompressedBytes,
  );
  const g1 = new Uint8Array(symbolsMax * g1AffineBytes);
  for (let index = 0; index < symbolsMax; index++) {
    const point = decompressG1(file.subarray(index * g1CompressedBytes, (index + 1) * g1CompressedBytes));
    if (!point.ok) throw new EigenDaError("invalid", `Point ${index} of ${options.g1Path}: ${point.reason}`);
    g1.set(g1ToAffineBytes(point.value), index * g1AffineBytes);
  }
  return { ...mainnetSrsAnchor, symbolsMax, points: { g1, g2: null, g2Trailing: null } };
}
