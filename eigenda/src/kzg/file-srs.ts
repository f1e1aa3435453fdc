import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { loadMcl } from "../curve/mcl.ts";
import { g1AffineBytes, g1CompressedBytes, g2AffineBytes, g2CompressedBytes } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { KzgThread } from "./kzg-thread.ts";
import { mainnetSrsAnchor } from "./mainnet-srs.ts";
import type { Srs, SrsAnchor } from "./srs.ts";
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
};

/**
 * An SRS from files of compressed points, brought into affine form on a thread: about 0.05 ms a G1 point and 0.15 ms a G2 point. Checked by checksum, then at
 * the powers of two by pairings.
 * @throws EigenDaError invalid if a checksum differs, a size is odd, or a point is malformed or of another SRS.
 */
export async function fileSrs(files: SrsFiles): Promise<Srs> {
  const anchor = files.anchor ?? mainnetSrsAnchor;
  const g1 = await readPoints(files.g1, g1CompressedBytes);
  const symbolsMax = Math.min(files.symbolsMax ?? Number.POSITIVE_INFINITY, g1.length / g1CompressedBytes);
  await using thread = new KzgThread({});
  const expand = async (group: "g1" | "g2", bytes: Uint8Array) => {
    const affine = await thread.run({ kind: "decompress", group, bytes });
    const shared = new Uint8Array(new SharedArrayBuffer(affine.length));
    shared.set(affine);
    return shared;
  };
  const points = {
    g1: await expand("g1", g1.subarray(0, symbolsMax * g1CompressedBytes)),
    g2: null as Uint8Array | null,
    g2Trailing: null as Uint8Array | null,
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
  return { ...anchor, symbolsMax, points };
}

/** The ceremony's first G1 points alone: enough to retrieve and verify, not to disperse. As `fileSrs`. */
export function filePrefixSrs(options: {
  g1Path: string;
  sha256: string;
  symbolsMax?: number;
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
