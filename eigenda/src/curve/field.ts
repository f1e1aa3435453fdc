/** Order of the BN254 groups: the scalar field in which symbols live. */
export const frModulus = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** Modulus of the field of curve coordinates. */
export const fpModulus = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

export const symbolBytes = 32;

const frModulusBytes = Buffer.from(frModulus.toString(16), "hex");

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

/** The index of the first symbol that is not below the group order; null if all are canonical. */
export function nonCanonicalSymbol(bytes: Uint8Array): number | null {
  for (let offset = 0; offset < bytes.length; offset += symbolBytes) {
    if (bytes[offset]! < frModulusBytes[0]!) continue;
    const symbol = bytes.subarray(offset, offset + symbolBytes);
    if (Buffer.compare(symbol, frModulusBytes) >= 0) return offset / symbolBytes;
  }
  return null;
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

/** p(x) for coefficients in ascending order, by Horner's rule. */
export function evaluatePolynomial(coefficients: readonly bigint[], x: bigint): bigint {
  return coefficients.reduceRight((sum, coefficient) => (sum * x + coefficient) % frModulus, 0n);
}

export function isPowerOfTwo(count: number): boolean {
  return Number.isSafeInteger(count) && count > 0 && Math.log2(count) % 1 === 0;
}

export function nextPowerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(count, 1)));
}
