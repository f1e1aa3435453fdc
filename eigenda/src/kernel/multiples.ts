import { symbolBytes, writeSymbols } from "../curve/field.ts";
import type { CurveKernel, Signed } from "./curve-kernel.ts";
import { signedDigits, windowCount } from "./signed-digits.ts";
import { weightedSum } from "./weighted-sum.ts";

/** Widest window of the table of multiples: 2^11 points a window. */
const windowBitsMax = 12;

/** Products made at the same time. */
const chunkCount = 1024;

/** scalar · point for one point of the kernel, as affine bytes. `scalar` is below the group order. */
export function multiply(curve: CurveKernel, point: Signed, scalar: bigint): Uint8Array {
  const bits = [...scalar.toString(2)].reverse();
  return weightedSum(
    curve,
    Int32Array.from(bits, (bit) => (bit === "1" ? point : 0)),
  );
}

/**
 * scalars_i · point for many scalars (32 big-endian bytes each), as affine bytes one after the other. None may be zero.
 * A table of d · 2^(w·window) · point for all digits d makes each product a sum of one entry a window.
 */
export function multiples(curve: CurveKernel, point: Signed, scalars: Uint8Array): Uint8Array {
  const { kernel } = curve;
  const mark = kernel.mark();
  const count = scalars.length / symbolBytes;
  const windowBits = cheapestWindow(count);
  const table = digitTable(curve, point, windowBits);
  const windows = windowCount(windowBits);
  const width = 2 ** (windowBits - 1) + 1;
  const affineBytes = 2 * curve.field.degree * 32;
  const bytes = new Uint8Array(count * affineBytes);
  for (let start = 0; start < count; start += chunkCount) {
    const inner = kernel.mark();
    const size = Math.min(chunkCount, count - start);
    const chunk = scalars.subarray(start * symbolBytes, (start + size) * symbolBytes);
    const digits = signedDigits(chunk, windowBits);
    const items = new Int32Array(size * windows);
    const counts = new Int32Array(size).fill(windows);
    for (let product = 0; product < size; product++) {
      for (let window = 0; window < windows; window++) {
        const digit = digits[window * size + product]!;
        const entry = table[window * width + Math.abs(digit)]!;
        items[product * windows + window] = entry === 0 ? 0 : entry + (digit < 0 ? 1 : 0);
      }
    }
    curve.sumRuns(items, counts);
    items.subarray(0, size).forEach((signed, index) => {
      curve.writeAffine(bytes, (start + index) * affineBytes, curve.unsigned(signed));
    });
    kernel.release(inner);
  }
  kernel.release(mark);
  return bytes;
}

/** The width with the fewest additions, of the products and of the table. */
function cheapestWindow(count: number): number {
  const cost = (bits: number) => windowCount(bits) * (count + 2 ** (bits - 1));
  let best = 2;
  for (let bits = 3; bits <= windowBitsMax; bits++) if (cost(bits) < cost(best)) best = bits;
  return best;
}

/** Entry (window, d) is d · 2^(window · windowBits) · point for d up to 2^(windowBits − 1); d = 0 is infinity. */
function digitTable(curve: CurveKernel, point: Signed, windowBits: number): Int32Array {
  const windows = windowCount(windowBits);
  const width = 2 ** (windowBits - 1) + 1;
  const table = new Int32Array(windows * width);
  const memory = curve.kernel.take(windows * width * curve.pointBytes);
  const slots = Int32Array.from(table, (_, entry) => memory + entry * curve.pointBytes);
  table[1] = point;
  for (let window = 1; window < windows; window++) {
    let base = table[(window - 1) * width + 1]!;
    const slot = slots[window * width + 1]!;
    for (let bit = 0; bit < windowBits; bit++) base = curve.addOne(base, base, slot);
    table[window * width + 1] = base;
  }
  // Entries above `half` up to twice it are the one at `half` plus the smaller ones.
  for (let half = 1; half < width - 1; half *= 2) {
    const entries = Array.from({ length: windows * half }, (_, index) => {
      const window = Math.floor(index / half);
      return { row: window * width, digit: (index % half) + 1 };
    });
    const sums = Int32Array.from(entries, ({ row }) => table[row + half]!);
    const addends = Int32Array.from(entries, ({ row, digit }) => table[row + digit]!);
    const targets = Int32Array.from(entries, ({ row, digit }) => slots[row + half + digit]!);
    curve.addPairs(sums, addends, targets, sums, sums.length);
    entries.forEach(({ row, digit }, index) => {
      table[row + half + digit] = sums[index]!;
    });
  }
  return table;
}

/** base^0, base^1, … times `first`, as scalars. */
export function powers(first: bigint, base: bigint, modulus: bigint, count: number): Uint8Array {
  const list: bigint[] = [];
  for (let value = first; list.length < count; value = (value * base) % modulus) list.push(value);
  return writeSymbols(list);
}
