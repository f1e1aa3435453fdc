import type { Alibi } from "./description.ts";

/**
 * Biases on attention scores by the key's position, [positions, heads]: slope of the head · position. Rows
 * of scores may be shifted by a constant, so a key's own position serves as well as its distance.
 * Source: Press et al. 2022, §3; slopes and Falcon's rounding as transformers' `build_alibi_tensor`.
 */
export function alibiTable(
  { rounding }: Alibi,
  heads: number,
  headSize: number,
  positions: number,
): Float32Array {
  const slopes = slopesOf(heads);
  const table = new Float32Array(positions * heads);
  for (let position = 0; position < positions; position++) {
    slopes.forEach((slope, head) => {
      const rounded = bfloat16(bfloat16(slope) * bfloat16(position)) / Math.sqrt(headSize);
      table[position * heads + head] = rounding === "none" ? slope * position : rounded;
    });
  }
  return table;
}

/** Powers of 2^(−8/n) for the largest power of two n ≤ heads, then every other power of 2^(−4/n). */
function slopesOf(heads: number): number[] {
  const closest = 2 ** Math.floor(Math.log2(heads));
  const base = Math.fround(2 ** (-8 / closest));
  const extra = Math.fround(2 ** (-4 / closest));
  return Array.from({ length: heads }, (_, head) =>
    Math.fround(head < closest ? base ** (head + 1) : extra ** (2 * (head - closest) + 1)),
  );
}

/** Nearest bfloat16, ties to even. */
function bfloat16(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  view.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0);
  return view.getFloat32(0);
}
