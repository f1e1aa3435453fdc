import { symbolBytes } from "../curve/field.ts";
import { invariant } from "../errors.ts";
import type { CurveKernel, Signed } from "./curve-kernel.ts";
import { elementBytes } from "./field-code.ts";
import type { Kernel, Pointer } from "./kernel.ts";
import { signedDigits, windowCount } from "./signed-digits.ts";
import { weightedSum } from "./weighted-sum.ts";

/** Bits of a window in a multi-scalar multiplication; wider has fewer windows with more buckets. */
const windowBitsMax = 16;

/** Points that the windows summed at the same time may hold: batches stay long, memory small. */
const groupItemsMax = 65_536;

/** Points brought into the kernel's form at a time. */
const loadCount = 256;

/**
 * Multi-scalar multiplication over a fixed list of points. Points are taken into the kernel's memory when first used and stay there,
 * so that a long list costs nothing until a long blob comes.
 */
export class PointList {
  readonly count: number;
  readonly #curve: CurveKernel;
  readonly #affine: Uint8Array;
  readonly #affineBytes: number;
  readonly #points: Int32Array;
  readonly #isLoaded: Uint8Array;

  /** `affine`: big-endian coordinates as in curve/points.ts. Points must be on the curve; that is not checked. */
  constructor(curve: CurveKernel, affine: Uint8Array) {
    this.#curve = curve;
    this.#affine = affine;
    this.#affineBytes = 2 * curve.field.degree * 32;
    this.count = affine.length / this.#affineBytes;
    this.#points = new Int32Array(this.count);
    this.#isLoaded = new Uint8Array(Math.ceil(this.count / loadCount));
  }

  /** One of the points. */
  pointer(index: number): Signed {
    this.#load(index, 1);
    return this.#points[index]!;
  }

  /**
   * Σ scalars_i · points_(offset+i), as affine big-endian bytes.
   * Pippenger's buckets with signed digits; sums in affine form that share inversions. `scalars`: 32 bytes each, below the group order.
   */
  msm(scalars: Uint8Array, offset: number): Uint8Array {
    const { kernel, pointBytes } = this.#curve;
    const count = scalars.length / symbolBytes;
    invariant(offset + count <= this.count, "every scalar has a point");
    this.#load(offset, count);
    const mark = kernel.mark();
    const bits = windowBits(count);
    const windows = windowCount(bits);
    const digits = signedDigits(scalars, bits);
    const sums = new Int32Array(windows * bits);
    const kept = kernel.take(windows * bits * pointBytes);
    const group = Math.max(1, Math.floor(groupItemsMax / Math.max(1, count)));
    for (let window = 0; window < windows; window += group) {
      const inGroup = Math.min(group, windows - window);
      const inner = kernel.mark();
      const parts = this.#sumWindows(digits, { window, windows: inGroup, bits, count, offset });
      parts.forEach((part, index) => {
        sums[window * bits + index] = this.#keep(part, kept + (window * bits + index) * pointBytes);
      });
      kernel.release(inner);
    }
    const total = weightedSum(this.#curve, sums);
    kernel.release(mark);
    return total;
  }

  /** For each window, sums T_j with Σ digit · point = Σ_j 2^j T_j: buckets first, then their bits. */
  #sumWindows(
    digits: Int32Array,
    at: { window: number; windows: number; bits: number; count: number; offset: number },
  ): Int32Array {
    const { windows, bits, count } = at;
    const bucketCount = 2 ** (bits - 1) + 1;
    const counts = new Int32Array(windows * bucketCount);
    const first = at.window * count;
    const total = windows * count;
    for (let index = 0; index < total; index++) {
      const bucket = Math.abs(digits[first + index]!);
      if (bucket !== 0) counts[Math.floor(index / count) * bucketCount + bucket]!++;
    }
    const next = new Int32Array(counts.length);
    let items = 0;
    for (let bucket = 0; bucket < counts.length; bucket++) {
      next[bucket] = items;
      items += counts[bucket]!;
    }
    const sorted = new Int32Array(items);
    for (let window = 0, index = 0; window < windows; window++) {
      for (let point = 0; point < count; point++, index++) {
        const digit = digits[first + index]!;
        if (digit === 0) continue;
        const bucket = window * bucketCount + Math.abs(digit);
        const pointer = this.#points[at.offset + point]!;
        sorted[next[bucket]!++] = pointer === 0 ? 0 : pointer + (digit < 0 ? 1 : 0);
      }
    }
    this.#curve.sumRuns(sorted, counts);
    return this.#weighBuckets(spread(sorted, counts), windows, bucketCount, bits);
  }

  /**
   * Σ_b b · S_b = Σ_j 2^j · (sum of the S with bit j in their number), window by window. Halving the list by S'_i = S_2i + S_2i+1 makes bit j + 1
   * the lowest bit, so the sums of the odd places at each halving are what is wanted; all of it is pairs that wait for nobody.
   */
  #weighBuckets(buckets: Int32Array, windows: number, bucketCount: number, bits: number): Int32Array {
    const { kernel, pointBytes } = this.#curve;
    const odd: number[][] = Array.from({ length: windows * bits }, () => []);
    let level = buckets;
    let size = bucketCount;
    for (let bit = 0; bit < bits; bit++) {
      const halved = Math.ceil(size / 2);
      const pairs = windows * halved;
      const [left, right, slots] = [new Int32Array(pairs), new Int32Array(pairs), new Int32Array(pairs)];
      const memory = kernel.take(pairs * pointBytes);
      for (let window = 0; window < windows; window++) {
        for (let index = 0; index < halved; index++) {
          const pair = window * halved + index;
          const high = 2 * index + 1 < size ? level[window * size + 2 * index + 1]! : 0;
          if (high !== 0) odd[window * bits + bit]!.push(high);
          if (index === 0) continue;
          left[pair] = level[window * size + 2 * index]!;
          right[pair] = high;
          slots[pair] = memory + pair * pointBytes;
        }
      }
      this.#curve.addPairs(left, right, slots, left, pairs);
      level = left;
      size = halved;
    }
    const counts = Int32Array.from(odd, (list) => list.length);
    const items = Int32Array.from(odd.flat());
    this.#curve.sumRuns(items, counts);
    return spread(items, counts);
  }

  /** Takes memory for good: nothing else may be taken and not released at this time. */
  #load(offset: number, count: number): void {
    for (let block = Math.floor(offset / loadCount); block * loadCount < offset + count; block++) {
      if (this.#isLoaded[block] === 0) this.#loadBlock(block * loadCount);
      this.#isLoaded[block] = 1;
    }
  }

  #loadBlock(start: number): void {
    const { kernel, field, pointBytes } = this.#curve;
    const count = Math.min(loadCount, this.count - start);
    const affine = this.#affine.subarray(start * this.#affineBytes, (start + count) * this.#affineBytes);
    const first = kernel.take(count * pointBytes);
    kernel.readBytes(kernel.fp, first, affine, count * 2 * field.degree);
    if (field.degree === 2) swapParts(kernel, first, count * 2);
    for (let index = 0; index < count; index++) {
      const isInfinity = isZero(affine, index * this.#affineBytes, this.#affineBytes);
      this.#points[start + index] = isInfinity ? 0 : first + index * pointBytes;
    }
  }

  #keep(point: Signed, target: Pointer): Signed {
    if (point === 0) return 0;
    const { kernel, pointBytes } = this.#curve;
    const source = (point & ~1) / 4;
    kernel.words.copyWithin(target / 4, source, source + pointBytes / 4);
    return target + (point & 1);
  }
}

/** One item a run, 0 where the run was empty. */
function spread(items: Int32Array, counts: Int32Array): Int32Array {
  let read = 0;
  return counts.map((count) => (count === 0 ? 0 : items[read++]!));
}

/** The width with the fewest additions: each window adds every point once and every bucket twice. */
function windowBits(count: number): number {
  let best = 2;
  const cost = (bits: number) => windowCount(bits) * (count + 2 ** bits);
  for (let bits = 3; bits <= windowBitsMax; bits++) if (cost(bits) < cost(best)) best = bits;
  return best;
}

/** Affine bytes have the imaginary part first, the kernel's elements last. */
function swapParts(kernel: Kernel, first: Pointer, elements: number): void {
  const size = elementBytes / 4;
  const { words } = kernel;
  for (let element = 0; element < elements; element++) {
    const at = first / 4 + 2 * element * size;
    for (let word = 0; word < size; word++) {
      const high = words[at + word]!;
      words[at + word] = words[at + size + word]!;
      words[at + size + word] = high;
    }
  }
}

function isZero(bytes: Uint8Array, start: number, length: number): boolean {
  for (let index = start; index < start + length; index++) if (bytes[index] !== 0) return false;
  return true;
}
