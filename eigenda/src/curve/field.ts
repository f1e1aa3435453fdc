/** Order of the BN254 groups: the scalar field in which symbols live. */
export const frModulus = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** Modulus of the field of curve coordinates. */
export const fpModulus = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

export const symbolBytes = 32;

/** Largest k with a 2^k-th root of unity in the scalar field. */
const twoAdicity = 28;

/** Generator of the subgroup of order 2^28. Source: Layr-Labs/eigenda encoding/constants.go. */
const rootOfUnity = 19103219067921713944291392827692070036145651957329286315305642004821462161904n;

/** Big-endian bytes as an unsigned integer. Not reduced. */
export function bigintFromBytes(bytes: Uint8Array): bigint {
  return bytes.length === 0
    ? 0n
    : BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`);
}

/** Unsigned integer as 32 big-endian bytes, written at `offset`. `value` must be below 2^256. */
export function writeBigint(target: Uint8Array, offset: number, value: bigint): void {
  Buffer.from(target.buffer, target.byteOffset, target.length).write(
    value.toString(16).padStart(64, "0"),
    offset,
    "hex",
  );
}

/** The symbols of a blob, or the index of the first one that is not below the group order. */
export function readSymbols(bytes: Uint8Array): { ok: true; value: bigint[] } | { ok: false; index: number } {
  const symbols: bigint[] = [];
  for (let offset = 0; offset < bytes.length; offset += symbolBytes) {
    const symbol = bigintFromBytes(bytes.subarray(offset, offset + symbolBytes));
    if (symbol >= frModulus) return { ok: false, index: offset / symbolBytes };
    symbols.push(symbol);
  }
  return { ok: true, value: symbols };
}

/** Symbols as 32 big-endian bytes each. */
export function writeSymbols(symbols: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(symbols.length * symbolBytes);
  symbols.forEach((symbol, index) => {
    writeBigint(bytes, index * symbolBytes, symbol);
  });
  return bytes;
}

export function powFr(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base % frModulus;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % frModulus;
    square = (square * square) % frModulus;
  }
  return result;
}

function inverseFr(value: bigint): bigint {
  return powFr(value, frModulus - 2n);
}

/** p(x) for coefficients in ascending order, by Horner's rule. */
export function evaluatePolynomial(coefficients: readonly bigint[], x: bigint): bigint {
  return coefficients.reduceRight((sum, coefficient) => (sum * x + coefficient) % frModulus, 0n);
}

/** out_j = Σ_k values_k · ω^(jk), in natural order. The length must be a power of two. */
export function fft(values: readonly bigint[]): bigint[] {
  return transform(values, rootOfOrder(values.length));
}

/** Inverse of `fft`: out_k = n⁻¹ · Σ_j values_j · ω^(−jk). */
export function ifft(values: readonly bigint[]): bigint[] {
  const scale = inverseFr(BigInt(values.length));
  return transform(values, inverseFr(rootOfOrder(values.length))).map((value) => (value * scale) % frModulus);
}

export function isPowerOfTwo(count: number): boolean {
  return Number.isSafeInteger(count) && count > 0 && Math.log2(count) % 1 === 0;
}

export function nextPowerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(count, 1)));
}

function rootOfOrder(order: number): bigint {
  return powFr(rootOfUnity, 1n << BigInt(twoAdicity - Math.log2(order)));
}

/** Iterative radix-2 transform: bit-reversed order in, then log2(n) passes of butterflies. */
function transform(values: readonly bigint[], root: bigint): bigint[] {
  const count = values.length;
  const bits = Math.log2(count);
  const out = values.map((_, index) => values[reverseBits(index, bits)]!);
  for (let half = 1; half < count; half *= 2) {
    const twiddles = powers(powFr(root, BigInt(count / (2 * half))), half);
    for (let start = 0; start < count; start += 2 * half) {
      for (let index = 0; index < half; index++) {
        const even = out[start + index]!;
        const odd = (out[start + index + half]! * twiddles[index]!) % frModulus;
        out[start + index] = (even + odd) % frModulus;
        out[start + index + half] = (even - odd + frModulus) % frModulus;
      }
    }
  }
  return out;
}

function powers(base: bigint, count: number): bigint[] {
  const out = [1n];
  while (out.length < count) out.push((out.at(-1)! * base) % frModulus);
  return out;
}

function reverseBits(index: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed = reversed * 2 + ((index >> bit) & 1);
  return reversed;
}
