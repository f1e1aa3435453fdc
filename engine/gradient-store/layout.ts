import { invariant } from "#schema/errors";
import { rowAlignment } from "./kernel.ts";

/** How an entry is kept. `int8` has one float32 scale per record and block: entry = byte · scale, |byte| ≤ 127. */
export type Encoding = "int8" | "float16" | "float32";

/** A record's row: a block per LoRA matrix, one behind the other, each padded to 16 bytes. */
export type Layout = {
  readonly encoding: Encoding;
  readonly blocks: readonly { readonly name: string; readonly columns: number }[];
};

/** Bytes of an entry. */
export const entryBytes: Record<Encoding, number> = { int8: 1, float16: 2, float32: 4 };

/** Byte offset of each block in a row, and of the row's end. */
export function offsets({ encoding, blocks }: Layout): number[] {
  const result = [0];
  for (const { columns } of blocks) {
    const bytes = columns * entryBytes[encoding];
    result.push(result.at(-1)! + Math.ceil(bytes / rowAlignment) * rowAlignment);
  }
  return result;
}

export function rowBytes(layout: Layout): number {
  return offsets(layout).at(-1)!;
}

/** Scales a record has: one per block for int8, else none. */
export function scaleCount({ encoding, blocks }: Layout): number {
  return encoding === "int8" ? blocks.length : 0;
}

/** Write one block's gradient to its place in a row; returns the scale, 1 where the encoding has none. */
export function encodeBlock(encoding: Encoding, gradient: Float32Array, target: Uint8Array): number {
  const { buffer, byteOffset } = target;
  if (encoding === "float32") new Float32Array(buffer, byteOffset, gradient.length).set(gradient);
  if (encoding === "float16") new Float16Array(buffer, byteOffset, gradient.length).set(gradient);
  if (encoding !== "int8") return 1;
  const scale = Math.fround(peakOf(gradient) / 127);
  const bytes = new Int8Array(buffer, byteOffset, gradient.length);
  if (scale > 0) {
    // At most 127 and a few roundings: never 127.5, so nothing is clipped.
    const perUnit = 1 / scale;
    for (let i = 0; i < gradient.length; i++) bytes[i] = Math.round(gradient[i]! * perUnit);
  }
  return scale;
}

/** The block's entries as float32. */
export function decodeBlock(
  encoding: Encoding,
  source: Uint8Array,
  columns: number,
  scale: number,
): Float32Array {
  const { buffer, byteOffset } = source;
  if (encoding === "float32") return Float32Array.from(new Float32Array(buffer, byteOffset, columns));
  if (encoding === "float16") return Float32Array.from(new Float16Array(buffer, byteOffset, columns));
  return Float32Array.from(new Int8Array(buffer, byteOffset, columns), (byte) => byte * scale);
}

/** A query's block as integers of at most `entryMax`, and what one of them is worth. */
export function quantiseQuery(query: ArrayLike<number>, entryMax: number, target: Int16Array): number {
  const scale = peakOf(query) / entryMax;
  invariant(Number.isFinite(scale), "a query's gradient must be finite");
  target.fill(0);
  if (scale > 0) for (let i = 0; i < query.length; i++) target[i] = Math.round(query[i]! / scale);
  return scale;
}

function peakOf(values: ArrayLike<number>): number {
  let peak = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (!(size <= peak)) peak = size;
  }
  return peak;
}
