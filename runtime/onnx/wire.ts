/**
 * The part of the protobuf wire format that ONNX needs: varints, 32-bit floats and length-delimited
 * fields. A message is a list of chunks, joined once at the end, so nesting costs one copy per level.
 * Source: protobuf.dev, "Encoding".
 */
export type Chunk = Uint8Array;

const varintWireType = 0;
const lengthWireType = 2;
const fixed32WireType = 5;

/** Field holding an integer (int64, int32, enum); negative values take ten bytes, as protobuf defines. */
export function integer(field: number, value: number | bigint): Chunk {
  return join([key(field, varintWireType), varint(BigInt(value))]);
}

/** Field holding an IEEE-754 binary32, little endian. */
export function float(field: number, value: number): Chunk {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return join([key(field, fixed32WireType), bytes]);
}

/** Field holding UTF-8 text. */
export function text(field: number, value: string): Chunk {
  return bytes(field, new TextEncoder().encode(value));
}

/** Field holding raw bytes, or an already encoded message. */
export function bytes(field: number, value: Uint8Array): Chunk {
  return join([key(field, lengthWireType), varint(BigInt(value.length)), value]);
}

/** Field holding a nested message made of chunks. */
export function message(field: number, chunks: readonly Chunk[]): Chunk {
  return bytes(field, join(chunks));
}

/** Field holding a packed list of integers. */
export function packedIntegers(field: number, values: readonly (number | bigint)[]): Chunk {
  return message(
    field,
    values.map((value) => varint(BigInt(value))),
  );
}

/** Concatenate chunks. */
export function join(chunks: readonly Chunk[]): Uint8Array {
  const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}

function key(field: number, wireType: number): Chunk {
  return varint(BigInt(field * 8 + wireType));
}

function varint(value: bigint): Chunk {
  const encoded: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    encoded.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  encoded.push(Number(rest));
  return Uint8Array.from(encoded);
}
