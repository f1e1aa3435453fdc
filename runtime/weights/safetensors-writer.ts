import { open } from "node:fs/promises";
import { invariant } from "#runtime/errors";

/** One tensor to be written. `bytes` is asked for once, in the order of the file, so one is in memory at a time. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Size of what `read` will give. */
  readonly bytes: number;
  readonly read: () => Uint8Array | Promise<Uint8Array>;
}

/**
 * Write a safetensors file as the reference writer does: wider types first, then by name, the header padded to
 * whole 8 bytes, so the same tensors make the same file. Existing contents are replaced.
 */
export async function writeSafetensors(path: string, tensors: readonly TensorSource[]): Promise<void> {
  const ordered = tensors.toSorted((a, b) => widthOf(b) - widthOf(a) || (a.name < b.name ? -1 : 1));
  const file = await open(path, "w");
  try {
    await file.writeFile(encodeHeader(ordered));
    for (const { name, bytes, read } of ordered) {
      const data = await read();
      invariant(data.length === bytes, `tensor ${name} has the ${bytes} bytes announced`);
      await file.writeFile(data);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The u64 length and the header of these tensors in this order. Pure. */
export function encodeHeader(tensors: readonly Omit<TensorSource, "read">[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = { __metadata__: { format: "pt" }, ...Object.fromEntries(entries) };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20, 8 + text.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(text, 8);
  return out;
}

function widthOf({ shape, bytes }: TensorSource): number {
  const count = shape.reduce((product, dim) => product * dim, 1);
  return count === 0 ? 0 : bytes / count;
}
