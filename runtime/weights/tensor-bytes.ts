import type { FileHandle } from "node:fs/promises";
import { type TensorEntry, WeightFileError } from "./safetensors.ts";

/** Most bytes of one read; the system takes no more than 2 GiB. */
const chunkBytes = 2 ** 28;

/**
 * The bytes of one tensor, copied into memory.
 * @throws WeightFileError if the file became shorter since its header was checked.
 */
export async function readTensorBytes(
  file: FileHandle,
  path: string,
  entry: TensorEntry,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(entry.bytes);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const wanted = Math.min(chunkBytes, bytes.length - at);
    const { bytesRead } = await file.read(bytes, at, wanted, entry.offset + at);
    if (bytesRead !== wanted)
      throw new WeightFileError(path, "the file became shorter while it was read", entry.name);
  }
  return bytes;
}
