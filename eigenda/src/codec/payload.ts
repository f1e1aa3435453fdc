import { nextPowerOfTwo, symbolBytes } from "../curve/field.ts";
import { type Decoded, EigenDaError } from "../errors.ts";

/** Payload bytes carried by one symbol: the first byte stays zero, so that every symbol is below the group order. */
const chunkBytes = 31;

/** Layout of the header symbol: 00 ‖ version 00 ‖ uint32be payload length ‖ 26 zero bytes. */
const headerVersion = 0;
const lengthOffset = 2;
const headerUsedBytes = 6;

/** Most payload bytes that fit a blob of so many symbols. */
export function payloadBytesMax(symbols: number): number {
  return (symbols - 1) * chunkBytes;
}

/**
 * Payload to encoded payload, version 0.   encoded := header ‖ (00 ‖ 31 payload bytes)* ‖ zeros up to a power of two symbols.
 * Source: Layr-Labs/eigenda encoding/codec, api/clients/v2/coretypes.
 * @throws EigenDaError invalid if the encoding needs more than `symbolsMax` symbols.
 */
export function encodePayload(payload: Uint8Array, symbolsMax: number): Uint8Array {
  const bodySymbols = Math.ceil(payload.length / chunkBytes);
  const symbols = nextPowerOfTwo(1 + bodySymbols);
  if (symbols > symbolsMax) {
    const max = payloadBytesMax(symbolsMax);
    throw new EigenDaError(
      "invalid",
      `The payload is too large. Max: ${max} bytes. Given: ${payload.length} bytes.`,
    );
  }
  const encoded = new Uint8Array(symbols * symbolBytes);
  new DataView(encoded.buffer).setUint32(lengthOffset, payload.length);
  for (let index = 0; index < bodySymbols; index++) {
    const chunk = payload.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    encoded.set(chunk, (index + 1) * symbolBytes + 1);
  }
  return encoded;
}

/** Strict inverse of `encodePayload`: accepts an encoding only if every bit not given by the payload is zero. */
export function decodePayload(encoded: Uint8Array): Decoded<Uint8Array> {
  const symbols = encoded.length / symbolBytes;
  if (encoded.length === 0 || symbols !== nextPowerOfTwo(symbols)) {
    return refuse(`its size is not a power of two of symbols: ${encoded.length} bytes`);
  }
  if (encoded[0] !== 0) return refuse("the first byte of its header is not zero");
  if (encoded[1] !== headerVersion) return refuse(`its version is unknown: ${encoded[1]}`);
  if (!isZero(encoded.subarray(headerUsedBytes, symbolBytes)))
    return refuse("its header has non-zero padding");
  const length = new DataView(encoded.buffer, encoded.byteOffset).getUint32(lengthOffset);
  if (length > payloadBytesMax(symbols)) return refuse(`it claims more bytes than it holds: ${length}`);
  const body = new Uint8Array(payloadBytesMax(symbols));
  for (let index = 1; index < symbols; index++) {
    const offset = index * symbolBytes;
    if (encoded[offset] !== 0) return refuse(`symbol ${index} does not start with a zero byte`);
    body.set(encoded.subarray(offset + 1, offset + symbolBytes), (index - 1) * chunkBytes);
  }
  if (!isZero(body.subarray(length))) return refuse("it has non-zero bytes after the payload");
  return { ok: true, value: body.slice(0, length) };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function refuse(why: string): { ok: false; reason: string } {
  return { ok: false, reason: `The encoded payload is malformed: ${why}.` };
}
