import { invariant } from "../errors.ts";
import type { Field, Kernel, Pointer } from "./kernel.ts";

/**
 * A point as an integer: its address, plus 1 if its negative is meant; 0 is infinity. The address holds x, then y, both
 * canonical; never infinity.
 */
export type Signed = number;

/** Additions that share one inversion. More save less and leave the cache. */
const batchMax = 1024;

/** Exponent p − 2 of Fermat's inversion, most significant bit first. */
type Bits = readonly boolean[];

/** Point arithmetic of y² = x³ + b over one field of the kernel, on affine points, many at a time. */
export class CurveKernel {
  readonly kernel: Kernel;
  readonly field: Field;
  readonly pointBytes: number;
  readonly #inversionBits: Bits;
  /** Per addition of a batch: numerator, denominator and running product of denominators. */
  readonly #numerators: Pointer;
  readonly #denominators: Pointer;
  readonly #products: Pointer;
  readonly #temporary: Pointer;
  readonly #active = new Int32Array(batchMax);

  constructor(kernel: Kernel, field: Field) {
    this.kernel = kernel;
    this.field = field;
    this.pointBytes = 2 * field.bytes;
    this.#inversionBits = [...(field.modulus - 2n).toString(2)].map((bit) => bit === "1");
    this.#numerators = kernel.take(batchMax * field.bytes);
    this.#denominators = kernel.take(batchMax * field.bytes);
    this.#products = kernel.take(batchMax * field.bytes);
    this.#temporary = kernel.take(4 * field.bytes);
  }

  /**
   * out_i = a_i + b_i for i < count. `slots_i` is where a sum goes if one has to be computed; it may be the address of a_i or b_i,
   * which is lost then. `out` may be `a` or `b`.
   */
  addPairs(a: Int32Array, b: Int32Array, slots: Int32Array, out: Int32Array, count: number): void {
    for (let start = 0; start < count; start += batchMax) {
      const end = Math.min(start + batchMax, count);
      this.#addBatch(a, b, slots, out, start, end);
    }
  }

  /** One addition; costs an inversion. */
  addOne(a: Signed, b: Signed, slot: Pointer): Signed {
    const out = Int32Array.of(0);
    this.addPairs(Int32Array.of(a), Int32Array.of(b), Int32Array.of(slot), out, 1);
    return out[0]!;
  }

  /**
   * Sums of consecutive runs of `items`: run r has `counts_r` of them. Both arrays are spent: the sums are the first items.
   * Takes memory for half the items; no input point is changed.
   */
  sumRuns(items: Int32Array, counts: Int32Array): void {
    const own = this.kernel.mark();
    const half = Math.floor(items.length / 2) + 1;
    const [left, right, slots] = [new Int32Array(half), new Int32Array(half), new Int32Array(half)];
    for (let isDone = false; !isDone; ) {
      const pairs = this.#pairRuns(items, counts, { left, right, slots, own });
      this.addPairs(left, right, slots, left, pairs);
      isDone = mergeRuns(items, counts, left);
    }
  }

  /** out = 1 / a by Fermat; of an extension element through its norm: (a0 − a1 i) / (a0² + a1²). */
  invert(out: Pointer, a: Pointer): void {
    const { fp } = this.kernel;
    if (this.field.degree === 1) {
      this.#power(out, a);
      return;
    }
    const norm = this.#temporary + this.field.bytes;
    const inverse = norm + fp.bytes;
    fp.square(norm, a);
    fp.square(inverse, a + fp.bytes);
    fp.add(norm, norm, inverse);
    this.#power(inverse, norm);
    fp.mul(out, a, inverse);
    fp.mul(out + fp.bytes, a + fp.bytes, inverse);
    this.kernel.words.fill(0, norm / 4, norm / 4 + fp.bytes / 4);
    fp.sub(out + fp.bytes, norm, out + fp.bytes);
  }

  /** A point as `unsigned` of it: the negative is written over the point. */
  unsigned(point: Signed): Pointer {
    invariant(point !== 0, "infinity has no coordinates");
    const pointer = point & ~1;
    if (pointer === point) return pointer;
    const y = pointer + this.field.bytes;
    const zero = this.#temporary;
    this.kernel.words.fill(0, zero / 4, (zero + this.field.bytes) / 4);
    this.field.sub(y, zero, y);
    return pointer;
  }

  /** x and y of a point (any elements) as big-endian bytes at `offset`, an imaginary part before its real one. */
  writeAffine(bytes: Uint8Array, offset: number, point: Pointer): void {
    const { kernel, field } = this;
    const part = 32;
    for (let element = 0; element < 2 * field.degree; element++) {
      const place = field.degree === 1 ? element : element ^ 1;
      kernel.writeBytes(
        kernel.fp,
        bytes.subarray(offset + place * part),
        point + element * kernel.fp.bytes,
        1,
      );
    }
  }

  /** Neighbours within runs; a sum goes over a point that an earlier round of this call made, or else to new memory. */
  #pairRuns(
    items: Int32Array,
    counts: Int32Array,
    pairs: { left: Int32Array; right: Int32Array; slots: Int32Array; own: Pointer },
  ): number {
    let pair = 0;
    let item = 0;
    let missing = 0;
    for (const count of counts) {
      for (let index = 0; index + 1 < count; index += 2, pair++) {
        const [a, b] = [items[item + index]! & ~1, items[item + index + 1]! & ~1];
        pairs.left[pair] = items[item + index]!;
        pairs.right[pair] = items[item + index + 1]!;
        pairs.slots[pair] = a >= pairs.own ? a : b >= pairs.own ? b : 0;
        if (pairs.slots[pair] === 0) missing++;
      }
      item += count;
    }
    let slot = this.kernel.take(missing * this.pointBytes);
    for (let index = 0; index < pair && missing > 0; index++) {
      if (pairs.slots[index] !== 0) continue;
      pairs.slots[index] = slot;
      slot += this.pointBytes;
    }
    return pair;
  }

  /**
   * Two passes around one inversion: λ = (y_b − y_a) / (x_b − x_a), or 3x² / 2y for a point and itself.
   * Signs cost nothing: −a − b is the negative of a + b, and a − b has λ = (y_a + y_b) / (x_a − x_b) with a the positive one.
   */
  #addBatch(a: Int32Array, b: Int32Array, slots: Int32Array, out: Int32Array, start: number, end: number) {
    const { field } = this;
    const size = field.bytes;
    const words = this.kernel.words;
    let active = 0;
    let product = 0;
    for (let index = start; index < end; index++) {
      const [p, q] = [a[index]!, b[index]!];
      const [pointP, pointQ] = [p & ~1, q & ~1];
      if (p === 0 || q === 0) {
        out[index] = p === 0 ? q : p;
        continue;
      }
      const isMixed = (p & 1) !== (q & 1);
      const numerator = this.#numerators + active * size;
      const denominator = this.#denominators + active * size;
      if (words[pointP >> 2] === words[pointQ >> 2] && this.#isEqual(pointP, pointQ)) {
        if (this.#isEqual(pointP + size, pointQ + size) === isMixed) {
          out[index] = 0;
          continue;
        }
        const point = ownSigned(p, q);
        field.square(numerator, point);
        field.add(denominator, numerator, numerator);
        field.add(numerator, denominator, numerator);
        field.add(denominator, point + size, point + size);
      } else if (isMixed) {
        field.add(numerator, pointP + size, pointQ + size);
        const positive = ownSigned(p, q);
        field.sub(denominator, positive, positive === pointP ? pointQ : pointP);
      } else {
        field.sub(numerator, pointQ + size, pointP + size);
        field.sub(denominator, pointQ, pointP);
      }
      const next = this.#products + active * size;
      if (active === 0) field.reduce(next, denominator);
      else field.mul(next, product, denominator);
      product = next;
      this.#active[active++] = index;
    }
    if (active === 0) return;
    const inverse = this.#temporary;
    this.invert(inverse, product);
    for (let rank = active - 1; rank >= 0; rank--) this.#finish(rank, this.#active[rank]!, a, b, slots, out);
  }

  /** x = λ² − x_a − x_b, y = λ (x_p − x) − y_p for the point p of the two that is taken with its own sign. */
  #finish(rank: number, index: number, a: Int32Array, b: Int32Array, slots: Int32Array, out: Int32Array) {
    const { field } = this;
    const size = field.bytes;
    const inverse = this.#temporary;
    const [slope, x, y] = [inverse + size, inverse + 2 * size, inverse + 3 * size];
    const denominator = this.#denominators + rank * size;
    if (rank > 0) {
      field.mul(slope, inverse, this.#products + (rank - 1) * size);
      field.mul(inverse, inverse, denominator);
      field.mul(slope, slope, this.#numerators + rank * size);
    } else field.mul(slope, inverse, this.#numerators);
    const [p, q] = [a[index]!, b[index]!];
    const base = ownSigned(p, q);
    field.square(x, slope);
    field.add(y, p & ~1, q & ~1);
    field.sub(x, x, y);
    field.reduce(x, x);
    field.sub(y, base, x);
    field.mul(y, y, slope);
    field.sub(y, y, base + size);
    const slot = slots[index]!;
    field.reduce(slot + size, y);
    this.#copy(slot, x, size);
    out[index] = slot + (p & q & 1);
  }

  #power(out: Pointer, a: Pointer): void {
    const { fp } = this.kernel;
    const base = this.#temporary + 3 * this.field.bytes;
    this.#copy(base, a, fp.bytes);
    this.#copy(out, a, fp.bytes);
    for (const bit of this.#inversionBits.slice(1)) {
      fp.square(out, out);
      if (bit) fp.mul(out, out, base);
    }
  }

  #isEqual(a: Pointer, b: Pointer): boolean {
    const { words } = this.kernel;
    for (let word = 0; word < this.field.bytes / 4; word++) {
      if (words[a / 4 + word] !== words[b / 4 + word]) return false;
    }
    return true;
  }

  #copy(target: Pointer, source: Pointer, bytes: number): void {
    const { words } = this.kernel;
    for (let word = 0; word < bytes / 4; word++) words[target / 4 + word] = words[source / 4 + word]!;
  }
}

/** The point of a mixed pair that is not negated; of an unmixed pair either serves. */
function ownSigned(p: Signed, q: Signed): Pointer {
  return (p & 1) === 0 ? p : q & ~1;
}

/** Puts each run's sums of pairs, then its odd item, in place of the run; true once no run has two items. */
function mergeRuns(items: Int32Array, counts: Int32Array, sums: Int32Array): boolean {
  let read = 0;
  let write = 0;
  let sum = 0;
  let isDone = true;
  for (let run = 0; run < counts.length; run++) {
    const count = counts[run]!;
    const pairs = count >> 1;
    for (let pair = 0; pair < pairs; pair++) items[write++] = sums[sum++]!;
    if (count % 2 === 1) items[write++] = items[read + count - 1]!;
    read += count;
    counts[run] = (count + 1) >> 1;
    if (counts[run]! > 1) isDone = false;
  }
  return isDone;
}
