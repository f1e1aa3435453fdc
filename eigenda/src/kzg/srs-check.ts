import type { CurveBackend } from "../curve/backend.ts";
import {
  g1AffineBytes,
  g1FromAffineBytes,
  g1Generator,
  g2AffineBytes,
  g2FromAffineBytes,
  g2Generator,
  isEqualG2,
  negateG1,
} from "../curve/points.ts";
import type { SrsAnchor, SrsPoints } from "./srs.ts";

/**
 * Spot-checks lists of points against an anchor by pairings, at the powers of two: e([τ^i]_1, G2) = e(G1, [τ^i]_2), equal points in G2, and the
 * trailing list against the end points in G1. Returns what is wrong, or null. Catches other ceremonies, wrong files and wrong offsets; only a checksum
 * catches a single changed point in between.
 */
export function srsFault(backend: CurveBackend, anchor: SrsAnchor, points: SrsPoints): string | null {
  const symbols = points.g1.length / g1AffineBytes;
  if (Buffer.compare(points.g1.subarray(0, g1AffineBytes), affineGenerator()) !== 0)
    return "the G1 list does not start with the generator";
  const minusG1 = negateG1(g1Generator);
  for (let k = 0; 2 ** k < symbols; k++) {
    const index = 2 ** k;
    const power = anchor.g2Power(k);
    const g1 = g1FromAffineBytes(at(points.g1, index, g1AffineBytes));
    const isPower = backend.isPairingProductOne([
      { g1, g2: g2Generator },
      { g1: minusG1, g2: power },
    ]);
    if (!isPower) return `G1 point ${index} is not that of the ${anchor.name}`;
    if (points.g2 && !isEqualG2(g2FromAffineBytes(at(points.g2, index, g2AffineBytes)), power))
      return `G2 point ${index} is not that of the ${anchor.name}`;
    if (points.g2Trailing === null) continue;
    const last = g2FromAffineBytes(at(points.g2Trailing, symbols - index, g2AffineBytes));
    const isEnd = backend.isPairingProductOne([
      { g1: anchor.g1Reverse(index), g2: g2Generator },
      { g1: minusG1, g2: last },
    ]);
    if (!isEnd) return `trailing G2 point ${symbols - index} is not that of the ${anchor.name}`;
  }
  return null;
}

function at(list: Uint8Array, index: number, size: number): Uint8Array {
  return list.subarray(index * size, (index + 1) * size);
}

function affineGenerator(): Uint8Array {
  const bytes = new Uint8Array(g1AffineBytes);
  bytes[31] = 1;
  bytes[63] = 2;
  return bytes;
}
