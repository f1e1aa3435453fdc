import { frModulus, powFr, symbolBytes } from "../curve/field.ts";
import { invariant } from "../errors.ts";
import { elementBytes } from "./field-code.ts";
import type { Kernel, Pointer } from "./kernel.ts";
import { threadKernel } from "./thread-kernel.ts";

/** Generator of the subgroup of order 2^28. Source: Layr-Labs/eigenda encoding/constants.go. */
const rootOfUnity = 19103219067921713944291392827692070036145651957329286315305642004821462161904n;
const rootOrderLog2 = 28;

/**
 * Largest transform, 2^20. Sums are not reduced on the way: each level adds up to 2p, and products stay right for factors whose product is
 * below 169 p².
 */
const sizeLog2Max = 20;

/** ω^0 to ω^(size/2 − 1) for ω of order `size`, in Montgomery form. */
type Twiddles = { first: Pointer; size: number };

let kept: Twiddles | null = null;

/** out_j = Σ_k symbols_k · ω^(jk), in natural order. Symbols: 32 big-endian bytes each, below the group order; a power of two of them. */
export function fft(symbols: Uint8Array): Uint8Array {
  return transform(symbols, (index) => index, 1n);
}

/** Inverse of `fft`: out_k = n⁻¹ · Σ_j symbols_j · ω^(−jk), which is the transform of the symbols in the order 0, n − 1, …, 1. */
export function ifft(symbols: Uint8Array): Uint8Array {
  const size = symbols.length / symbolBytes;
  return transform(symbols, (index) => (size - index) % size, inverse(BigInt(size)));
}

/**
 * Iterative radix-2 transform: bit-reversed order in, then log2(n) passes of butterflies. It is linear, so that symbols are taken as they stand, and brought below the
 * group order by the one multiplication with `scale`.
 */
function transform(symbols: Uint8Array, place: (index: number) => number, scale: bigint): Uint8Array {
  const size = symbols.length / symbolBytes;
  const sizeLog2 = Math.log2(size);
  invariant(sizeLog2 % 1 === 0 && sizeLog2 <= sizeLog2Max, "the size is a power of two");
  const kernel = threadKernel();
  const twiddles = twiddlesFor(kernel, size);
  const mark = kernel.mark();
  const values = kernel.take(size * elementBytes);
  for (let index = 0; index < size; index++) {
    const target = values + reverseBits(place(index), sizeLog2) * elementBytes;
    kernel.readPlain(target, symbols, index * symbolBytes);
  }
  for (let half = 1; half < size; half *= 2) butterflies(kernel, values, twiddles, size, half);
  const factor = kernel.take(elementBytes);
  kernel.write(kernel.fr, factor, scale);
  const bytes = new Uint8Array(symbols.length);
  kernel.writeProducts(kernel.fr, bytes, values, factor, size);
  kernel.release(mark);
  return bytes;
}

/** Twiddles for transforms up to `size`, kept in the kernel: at most some 40 MB. */
function twiddlesFor(kernel: Kernel, size: number): Twiddles {
  if (kept === null || kept.size < size)
    kept = { first: writePowers(kernel, rootOfOrder(size), size / 2), size };
  return kept;
}

/** One level: a + b·w and a − b·w for values `half` apart. */
function butterflies(kernel: Kernel, values: Pointer, twiddles: Twiddles, size: number, half: number): void {
  const { fr } = kernel;
  const mark = kernel.mark();
  const product = kernel.take(elementBytes);
  const stride = (twiddles.size / (2 * half)) * elementBytes;
  for (let start = 0; start < size; start += 2 * half) {
    let even = values + start * elementBytes;
    let odd = even + half * elementBytes;
    let twiddle = twiddles.first;
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

/** root^0 to root^(count − 1), canonical. Takes memory for good. */
function writePowers(kernel: Kernel, root: bigint, count: number): Pointer {
  const { fr } = kernel;
  const first = kernel.take(Math.max(1, count) * elementBytes);
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
