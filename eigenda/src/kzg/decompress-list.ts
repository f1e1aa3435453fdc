import {
  decompressG1,
  decompressG2,
  g1CompressedBytes,
  g1ToAffineBytes,
  g2CompressedBytes,
  g2ToAffineBytes,
} from "../curve/points.ts";
import { invariant } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { kernelRoots } from "../kernel/roots.ts";

/** Affine forms of compressed points, one after the other; all zero where a point is malformed, which no power of τ is. */
export function decompressList(kernel: Kernel, group: "g1" | "g2", bytes: Uint8Array): Uint8Array {
  const roots = kernelRoots(kernel);
  const size = group === "g1" ? g1CompressedBytes : g2CompressedBytes;
  invariant(bytes.length % size === 0, "the list is whole");
  const affine = new Uint8Array(2 * bytes.length);
  for (let offset = 0; offset < bytes.length; offset += size) {
    const compressed = bytes.subarray(offset, offset + size);
    if (group === "g1") {
      const point = decompressG1(compressed, roots);
      if (point.ok) affine.set(g1ToAffineBytes(point.value), 2 * offset);
    } else {
      const point = decompressG2(compressed, roots);
      if (point.ok) affine.set(g2ToAffineBytes(point.value), 2 * offset);
    }
  }
  return affine;
}
