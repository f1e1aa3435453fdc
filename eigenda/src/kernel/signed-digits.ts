import { symbolBytes } from "../curve/field.ts";

/** Bits of a scalar below the group order. */
const scalarBits = 254;

/** Windows of so many bits that hold any scalar and the carry out of its last signed digit. */
export function windowCount(bits: number): number {
  return Math.ceil((scalarBits + 1) / bits);
}

/**
 * Scalars (32 big-endian bytes each) as digits in [−2^(bits−1), 2^(bits−1)], all digits of the lowest window first.
 * Signed digits halve the buckets: the negative of a point is free.
 */
export function signedDigits(scalars: Uint8Array, bits: number): Int32Array {
  const count = scalars.length / symbolBytes;
  const windows = windowCount(bits);
  const digits = new Int32Array(count * windows);
  const half = 2 ** (bits - 1);
  const view = new DataView(scalars.buffer, scalars.byteOffset, scalars.byteLength);
  const words = new Uint32Array(symbolBytes / 4 + 1);
  for (let index = 0; index < count; index++) {
    for (let word = 0; word < 8; word++) words[7 - word] = view.getUint32(index * symbolBytes + 4 * word);
    let carry = 0;
    for (let window = 0; window < windows; window++) {
      const digit = bitsAt(words, window * bits, bits) + carry;
      carry = digit > half ? 1 : 0;
      digits[window * count + index] = digit - carry * 2 * half;
    }
  }
  return digits;
}

/** `bits` bits from bit `start` on of words, least significant first; the last word is zero padding. */
function bitsAt(words: Uint32Array, start: number, bits: number): number {
  const word = start >>> 5;
  const shift = start & 31;
  const low = words[word]! >>> shift;
  const high = shift === 0 ? 0 : words[word + 1]! << (32 - shift);
  return (low | high) & (2 ** bits - 1);
}
