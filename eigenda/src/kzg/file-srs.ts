import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadMcl } from "../curve/mcl.ts";
import { g1AffineBytes, g1CompressedBytes, g2AffineBytes, g2CompressedBytes } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { KzgThread } from "./kzg-thread.ts";
import { mainnetSrsAnchor } from "./mainnet-srs.ts";
import { readPointCache, splitPoints, toShared, writePointCache } from "./point-cache.ts";
import type { Srs, SrsAnchor, SrsPoints } from "./srs.ts";
import { srsFault } from "./srs-check.ts";

export type SrsFile = { path: string; sha256: string };

export type SrsFiles = {
  /** A prefix of EigenDA's `g1.point`: compressed points, no header. */
  g1: SrsFile;
  /** To disperse as well: a prefix of `g2.point` and the end of `g2.trailing.point`, as many points. */
  g2?: { prefix: SrsFile; trailing: SrsFile };
  /** Fewer symbols than the files hold. */
  symbolsMax?: number;
  /** Whose points they are; default: the ceremony's. */
  anchor?: SrsAnchor;
  /** Where the points are kept in affine form once they were checked; the files are then not read again. Default: nowhere. */
  cacheFolder?: string;
};

/**
 * An SRS from files of compressed points, brought into affine form on a thread: about 0.05 ms a G1 point and 0.15 ms a G2 point; from the cache in a hundredth of it.
 * Checked by checksum, then at the powers of two by pairings. The cache is of these checksums, and has one of its own.
 * @throws EigenDaError invalid if a checksum differs, a size is odd, or a point is malformed or of another SRS.
 */
export async function fileSrs(files: SrsFiles): Promise<Srs> {
  const anchor = files.anchor ?? mainnetSrsAnchor;
  if (files.cacheFolder === undefined) {
    const { symbolsMax, points } = await readFiles(files, anchor);
    return { ...anchor, symbolsMax, points };
  }
  const path = join(files.cacheFolder, `file-srs-${cacheName(files, anchor)}.bin`);
  const cached = await readPointCache(path);
  const bytesPerSymbol = g1AffineBytes + (files.g2 === undefined ? 0 : 2 * g2AffineBytes);
  if (cached !== null) {
    const symbolsMax = cached.length / bytesPerSymbol;
    return { ...anchor, symbolsMax, points: splitPoints(toShared(cached), symbolsMax) };
  }
  const { symbolsMax, points } = await readFiles(files, anchor);
  const { g1, g2, g2Trailing } = points;
  await writePointCache(path, Buffer.concat([g1, g2 ?? new Uint8Array(), g2Trailing ?? new Uint8Array()]));
  return { ...anchor, symbolsMax, points };
}

/** What the points depend on. */
function cacheName({ g1, g2, symbolsMax }: SrsFiles, anchor: SrsAnchor): string {
  const parts = [anchor.name, symbolsMax ?? "all", g1.sha256, g2?.prefix.sha256, g2?.trailing.sha256];
  return createHash("sha256").update(parts.join(" ")).digest("hex").slice(0, 32);
}

async function readFiles(
  files: SrsFiles,
  anchor: SrsAnchor,
): Promise<{ symbolsMax: number; points: SrsPoints }> {
  const g1 = await readPoints(files.g1, g1CompressedBytes);
  const symbolsMax = Math.min(files.symbolsMax ?? Number.POSITIVE_INFINITY, g1.length / g1CompressedBytes);
  await using thread = new KzgThread({});
  const expand = async (group: "g1" | "g2", bytes: Uint8Array) =>
    toShared(await thread.run({ kind: "decompress", group, bytes }));
  const points: SrsPoints = {
    g1: await expand("g1", g1.subarray(0, symbolsMax * g1CompressedBytes)),
    g2: null,
    g2Trailing: null,
  };
  if (files.g2 !== undefined) {
    const size = symbolsMax * g2CompressedBytes;
    const prefix = await readPoints(files.g2.prefix, g2CompressedBytes);
    const trailing = await readPoints(files.g2.trailing, g2CompressedBytes);
    if (Math.min(prefix.length, trailing.length) < size)
      throw new EigenDaError("invalid", `The G2 files have fewer points than ${symbolsMax}.`);
    points.g2 = await expand("g2", prefix.subarray(0, size));
    points.g2Trailing = await expand("g2", trailing.subarray(-size));
  }
  const fault =
    malformedAt("G1", points.g1, g1AffineBytes) ??
    malformedAt("G2", points.g2, g2AffineBytes) ??
    malformedAt("trailing G2", points.g2Trailing, g2AffineBytes) ??
    srsFault(await loadMcl(), anchor, points);
  if (fault !== null) throw new EigenDaError("invalid", `The SRS files are wrong: ${fault}.`);
  return { symbolsMax, points };
}

/** The ceremony's first G1 points alone: enough to retrieve and verify, not to disperse. As `fileSrs`. */
export function filePrefixSrs(options: {
  g1Path: string;
  sha256: string;
  symbolsMax?: number;
  cacheFolder?: string;
}): Promise<Srs> {
  const { g1Path, sha256, ...rest } = options;
  return fileSrs({ g1: { path: g1Path, sha256 }, ...rest });
}

async function readPoints({ path, sha256 }: SrsFile, pointBytes: number): Promise<Buffer> {
  const file = await readFile(path).catch((cause) => {
    throw new EigenDaError("invalid", `${path} cannot be read: ${cause.code}.`, { cause });
  });
  const digest = createHash("sha256").update(file).digest("hex");
  if (digest !== sha256)
    throw new EigenDaError("invalid", `${path} has another checksum. Wanted: ${sha256}. Given: ${digest}.`);
  if (file.length === 0 || file.length % pointBytes !== 0)
    throw new EigenDaError(
      "invalid",
      `${path} is no list of ${pointBytes}-byte points: ${file.length} bytes.`,
    );
  return file;
}

/** Malformed points come out as zeros, which would be skipped as infinity. */
function malformedAt(name: string, list: Uint8Array | null, size: number): string | null {
  for (let offset = 0; list !== null && offset < list.length; offset += size) {
    if (list[offset + size - 1] !== 0) continue;
    const isZero = list.subarray(offset, offset + size).every((byte) => byte === 0);
    if (isZero) return `${name} point ${offset / size} is malformed`;
  }
  return null;
}
