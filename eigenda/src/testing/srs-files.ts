import { compressG1, compressG2, g1FromAffineBytes, g2FromAffineBytes } from "../curve/points.ts";
import { type Srs, srsOrder } from "../kzg/srs.ts";
import type { SparseFile } from "./range-server.ts";

/** Points of an SRS compressed as EigenDA publishes them: the beginning of both groups, and the end of G2. */
export type SrsLists = Record<"g1" | "prefix" | "trailing", Buffer>;

export function compressedLists({ points, symbolsMax }: Srs): SrsLists {
  const parts = (list: Uint8Array, size: number) =>
    Array.from({ length: symbolsMax }, (_, index) => list.subarray(index * size, (index + 1) * size));
  const g2 = (list: Uint8Array) =>
    Buffer.concat(parts(list, 128).map((bytes) => compressG2(g2FromAffineBytes(bytes))));
  return {
    g1: Buffer.concat(parts(points.g1, 64).map((bytes) => compressG1(g1FromAffineBytes(bytes)))),
    prefix: g2(points.g2!),
    trailing: g2(points.g2Trailing!),
  };
}

/** The files as the ceremony publishes them, 8 and 16 GiB, of which only the ends matter. */
export function ceremonyFiles({ g1, prefix, trailing }: SrsLists): Record<string, SparseFile> {
  const g2Bytes = 64 * srsOrder;
  return {
    "g1.point": { bytes: 32 * srsOrder, pieces: [{ at: 0, bytes: g1 }] },
    "g2.point": {
      bytes: g2Bytes,
      pieces: [
        { at: 0, bytes: prefix },
        { at: g2Bytes - trailing.length, bytes: trailing },
      ],
    },
  };
}
