import { frModulus, powFr, symbolBytes } from "../curve/field.ts";
import { invariant } from "../errors.ts";
import { elementBytes } from "./field-code.ts";
import { Kernel, type Pointer } from "./kernel.ts";

/** Generator of the subgroup of order 2^28. Source: Layr-Labs/eigenda encoding/constants.go. */
const rootOfUnity = 19103219067921713944291392827692070036145651957329286315305642004821462161904n;
const rootOrderLog2 = 28;

/**
 * Largest transform, 2^20. Sums are not reduced on the way: each level adds up to 2p, and products stay right for factors whose product is
 * below 169 p².
 */
const sizeLog2Max = 20;

const elementWords = elementBytes / 4;

let shared: Kernel | null = null;

/** out_j = Σ_k symbols_k · ω^(jk), in natural order. Symbols: 32 big-endian bytes each, below the group order; a power of two of them. */
export function fft(symbols: Uint8Array): Uint8Array {
  const size = symbols.length / symbolBytes;
  return transform(symbols, rootOfOrder(size), 1n);
}

/** Inverse of `fft`: out_k = n⁻¹ · Σ_j symbols_j · ω^(−jk). */
export function ifft(symbols: Uint8Array): Uint8Array {
  const size = symbols.length / symbolBytes;
  return transform(symbols, inverse(rootOfOrder(size)), inverse(BigInt(size)));
}

/** Iterative radix-2 transform: bit-reversed order in, then log2(n) passes of butterflies. */
function transform(symbols: Uint8Array, root: bigint, scale: bigint): Uint8Array {
  const size = symbols.length / symbolBytes;
  invariant(Math.log2(size) % 1 === 0 && Math.log2(size) <= sizeLog2Max, "the size is a power of two");
  shared ??= new Kernel();
  const mark = shared.mark();
  const values = shared.take(size * elementBytes);
  const twiddles = writePowers(shared, root, Math.max(1, size / 2));
  shared.readBytes(shared.fr, values, symbols, size);
  reverseOrder(shared.words, values, size);
  for (let half = 1; half < size; half *= 2) butterflies(shared, values, twiddles, size, half);
  if (scale !== 1n) multiplyAll(shared, values, size, scale);
  const bytes = new Uint8Array(symbols.length);
  shared.writeBytes(shared.fr, bytes, values, size);
  shared.release(mark);
  return bytes;
}

/** One level: a + b·w and a − b·w for values `half` apart. */
function butterflies(kernel: Kernel, values: Pointer, twiddles: Pointer, size: number, half: number): void {
  const { fr } = kernel;
  const mark = kernel.mark();
  const product = kernel.take(elementBytes);
  const stride = (size / (2 * half)) * elementBytes;
  for (let start = 0; start < size; start += 2 * half) {
    let even = values + start * elementBytes;
    let odd = even + half * elementBytes;
    let twiddle = twiddles;
    for (let index = 0; index < half; index++) {
      fr.mul(product, odd, twiddle);
      fr.sub(odd, even, product);
      fr.add(even, even, product);
      even += elementBytes;
      odd += elementBytes;
      twiddle += stride;
    }
  }
  kernel.release(mark);
}

/** root^0 to root^(count − 1), canonical. */
function writePowers(kernel: Kernel, root: bigint, count: number): Pointer {
  const { fr } = kernel;
  const first = kernel.take(count * elementBytes);
  const mark = kernel.mark();
  const base = kernel.take(elementBytes);
  kernel.write(fr, base, root);
  kernel.write(fr, first, 1n);
  for (let index = 1; index < count; index++) {
    const target = first + index * elementBytes;
    fr.mul(target, target - elementBytes, base);
    fr.reduce(target, target);
  }
  kernel.release(mark);
  return first;
}

function multiplyAll(kernel: Kernel, values: Pointer, size: number, factor: bigint): void {
  const mark = kernel.mark();
  const pointer = kernel.take(elementBytes);
  kernel.write(kernel.fr, pointer, factor);
  for (let index = 0; index < size; index++) {
    const value = values + index * elementBytes;
    kernel.fr.mul(value, value, pointer);
  }
  kernel.release(mark);
}

function reverseOrder(words: Uint32Array, values: Pointer, size: number): void {
  const bits = Math.log2(size);
  for (let index = 0; index < size; index++) {
    const mirrored = reverseBits(index, bits);
    if (mirrored <= index) continue;
    const [a, b] = [values / 4 + index * elementWords, values / 4 + mirrored * elementWords];
    for (let word = 0; word < elementWords; word++) {
      const held = words[a + word]!;
      words[a + word] = words[b + word]!;
      words[b + word] = held;
    }
  }
}

function reverseBits(index: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed = reversed * 2 + ((index >> bit) & 1);
  return reversed;
}

function rootOfOrder(order: number): bigint {
  return powFr(rootOfUnity, 1n << BigInt(rootOrderLog2 - Math.log2(order)));
}

function inverse(value: bigint): bigint {
  return powFr(value, frModulus - 2n);
}
