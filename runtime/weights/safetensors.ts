import { open } from "node:fs/promises";
import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { findRepeatedKey } from "./json-keys.ts";

/** Element types of the format we can name; only some are usable as weights. */
const elementBytes: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  BOOL: 1,
};

/**
 * Longest header accepted, in bytes: about 160 for each of `tensorCountMax`. The format's own reader allows
 * 100 MB, which as JSON made for the purpose would fill gigabytes of memory.
 */
export const headerBytesMax = 16 * 1024 * 1024;

/** Most tensors accepted in one file; the largest published models have a few thousand. */
const tensorCountMax = 100_000;

/** Most axes of one tensor. */
const rankMax = 16;

const lengthPrefixBytes = 8;

/** One tensor of a safetensors file. `offset` counts from the start of the file, in bytes. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

export type DecodedHeader =
  | { readonly ok: true; readonly tensors: ReadonlyMap<string, TensorEntry> }
  | { readonly ok: false; readonly reason: string; readonly tensor?: string };

/**
 * Read and check the header of a safetensors file; the data stays on disk.
 * @throws WeightFileError naming the tensor at fault, when there is one.
 */
export async function read(path: string): Promise<ReadonlyMap<string, TensorEntry>> {
  const file = await open(path, "r");
  try {
    const fileBytes = (await file.stat()).size;
    const prefix = await readExactly(file, path, 0, Math.min(lengthPrefixBytes, fileBytes));
    const headerBytes = decodeHeaderLength(prefix, fileBytes);
    if (typeof headerBytes === "string") throw new WeightFileError(path, headerBytes);
    const header = await readExactly(file, path, lengthPrefixBytes, headerBytes);
    const decoded = decodeHeader(header, fileBytes);
    if (!decoded.ok) throw new WeightFileError(path, decoded.reason, decoded.tensor);
    return decoded.tensors;
  } finally {
    await file.close();
  }
}

/** Header length in bytes from the first 8 bytes of a file (u64, little endian), or why it is refused. */
export function decodeHeaderLength(prefix: Uint8Array, fileBytes: number): number | string {
  if (prefix.length < lengthPrefixBytes) return `file is truncated: ${fileBytes} bytes, no header length`;
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(headerBytesMax))
    return `header is too large. Max: ${headerBytesMax} bytes. Given: ${length} bytes`;
  if (Number(length) + lengthPrefixBytes > fileBytes) {
    return `file is truncated: header of ${length} bytes in a file of ${fileBytes} bytes`;
  }
  return Number(length);
}

/**
 * Check a header against the size of its file. Strict: every byte after the header belongs to
 * exactly one tensor, and each range has the size its dtype and shape imply.
 * Source: the format section of the safetensors README. Pure.
 */
export function decodeHeader(header: Uint8Array, fileBytes: number): DecodedHeader {
  const parsed = parseObject(header);
  if (typeof parsed === "string") return { ok: false, reason: parsed };
  const dataStart = lengthPrefixBytes + header.length;
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(parsed)) {
    if (name === "__metadata__") continue;
    const entry = decodeEntry(name, value, dataStart);
    if (typeof entry === "string") return { ok: false, reason: entry, tensor: name };
    entries.push(entry);
  }
  if (entries.length === 0) return { ok: false, reason: "file holds no tensor" };
  if (entries.length > tensorCountMax) return { ok: false, reason: `more than ${tensorCountMax} tensors` };
  return checkLayout(entries, dataStart, fileBytes);
}

function parseObject(header: Uint8Array): Record<string, unknown> | string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed)) return "header is not a JSON object";
    const repeated = findRepeatedKey(text);
    return repeated === null ? parsed : `header names ${excerpt(repeated)} twice`;
  } catch (cause) {
    return `header is not JSON: ${cause instanceof Error ? cause.message : "unreadable"}`;
  }
}

function decodeEntry(name: string, value: unknown, dataStart: number): TensorEntry | string {
  if (!isRecord(value)) return "entry is not an object";
  const { dtype, shape, data_offsets: offsets } = value;
  const width =
    typeof dtype === "string" && Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  if (typeof dtype !== "string" || width === undefined) return `unknown dtype ${excerpt(dtype)}`;
  if (!isSizeList(shape)) return "shape is not a list of sizes";
  if (shape.length > rankMax) return `shape has ${shape.length} axes. Max: ${rankMax}`;
  if (!isSizeList(offsets) || offsets.length !== 2) return "data_offsets is not a pair of byte offsets";
  const [begin = 0, end = 0] = offsets;
  const bytes = shape.reduce((product, dim) => product * dim, width);
  if (!Number.isSafeInteger(bytes)) return `shape [${shape}] overflows`;
  if (end - begin !== bytes)
    return `${dtype} [${shape}] needs ${bytes} bytes, its offsets span ${end - begin}`;
  return { name, dtype, shape, offset: dataStart + begin, bytes };
}

function checkLayout(entries: TensorEntry[], dataStart: number, fileBytes: number): DecodedHeader {
  const ordered = entries.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let expected = dataStart;
  for (const entry of ordered) {
    if (entry.offset + entry.bytes > fileBytes) {
      return {
        ok: false,
        reason: `data ends at byte ${entry.offset + entry.bytes} of a file of ${fileBytes} bytes`,
        tensor: entry.name,
      };
    }
    if (entry.offset < expected)
      return { ok: false, reason: "data overlaps another tensor", tensor: entry.name };
    if (entry.offset > expected) return { ok: false, reason: "a gap precedes the data", tensor: entry.name };
    expected += entry.bytes;
  }
  if (expected !== fileBytes)
    return { ok: false, reason: `${fileBytes - expected} bytes after the last tensor` };
  return { ok: true, tensors: new Map(entries.map((entry) => [entry.name, entry])) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizeList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

async function readExactly(
  file: Awaited<ReturnType<typeof open>>,
  path: string,
  position: number,
  bytes: number,
): Promise<Uint8Array> {
  const buffer = new Uint8Array(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, position);
  if (bytesRead !== bytes)
    throw new WeightFileError(path, `file is truncated at byte ${position + bytesRead}`);
  return buffer;
}

/** A weight file that must not be used. `tensor` names the tensor at fault, if one is. */
export class WeightFileError extends ModelRuntimeError {
  readonly tensor: string | undefined;

  constructor(path: string, reason: string, tensor?: string) {
    const named = tensor === undefined ? "" : `: tensor ${excerpt(tensor)}`;
    super(
      "weight-file-invalid",
      `${path}${named}: ${reason}. Fetch the file again, or convert the model anew.`,
    );
    this.tensor = tensor;
  }
}
