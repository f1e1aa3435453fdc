/** How the two running means of AdamW are held: as float32, or in 8 bits. */
export const stateBitsAllowed = [32, 8] as const;
export type StateBits = (typeof stateBitsAllowed)[number];

/** Numbers that share a scale, and that an update handles at a time. */
export const momentBlock = 256;

/** A running mean over all numbers of a parameter, read and written in blocks. Starts at zero. */
export interface Moment {
  /** Put the numbers from `start` on, as many as `into` has, there. `start` is a multiple of `momentBlock`. */
  load(start: number, into: Float64Array): void;
  /** Keep numbers from `start` on, rounded as they are held. */
  store(start: number, from: Float64Array): void;
  /** What a checkpoint holds, by name. Writing into these arrays restores it to the bit. */
  readonly arrays: Readonly<Record<string, Float32Array | Uint8Array>>;
}

/** A moment of `length` numbers in float32. */
export function floatMoment(length: number): Moment {
  const values = new Float32Array(length);
  return {
    load: (start, into) => into.set(values.subarray(start, start + into.length)),
    store: (start, from) => values.set(from, start),
    arrays: { values },
  };
}

/**
 * A moment in 8 bits: codes of a fixed set of 256 numbers in [−1, 1] ([0, 1] unsigned), times the largest
 * magnitude of each block. Error at most 0.75 % (unsigned 0.4 %) of the block's largest, and less for what is
 * smaller. Unsigned, nothing above zero becomes zero: updates divide by it. Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization",
 * §2.1 and §2.2 (dynamic tree quantisation; for numbers without a sign its bit joins the fraction).
 */
export function byteMoment(length: number, numbers: "signed" | "unsigned"): Moment {
  const book = books[numbers];
  const codes = new Uint8Array(length).fill(book.indexOf(0));
  const scales = new Float32Array(Math.ceil(length / momentBlock));
  return {
    load: (start, into) => {
      const scale = scales[start / momentBlock]!;
      for (let at = 0; at < into.length; at++) into[at] = book[codes[start + at]!]! * scale;
    },
    store: (start, from) => {
      let largest = 0;
      for (const value of from) largest = Math.max(largest, Math.abs(value));
      const scale = Math.fround(largest);
      scales[start / momentBlock] = scale;
      for (let at = 0; at < from.length; at++) {
        const value = from[at]!;
        const code = nearest(book, scale === 0 ? 0 : value / scale);
        codes[start + at] = numbers === "unsigned" && value > 0 && code === 0 ? 1 : code;
      }
    },
    arrays: { codes, scales },
  };
}

/** All `length` numbers of a moment, in float32. */
export function numbersOf(moment: Moment, length: number): Float32Array {
  const numbers = new Float32Array(length);
  for (let start = 0; start < length; start += momentBlock) {
    const block = new Float64Array(Math.min(momentBlock, length - start));
    moment.load(start, block);
    numbers.set(block, start);
  }
  return numbers;
}

const books = { signed: dynamicTree(6, true), unsigned: dynamicTree(7, false) };

/**
 * The 256 numbers of a dynamic tree, ascending: for each exponent e from 0 on, 10^−e times a fraction between
 * 0.1 and 1, with one bit of fraction less for each step down; and 0. The largest is 1.
 */
function dynamicTree(fractionBits: number, isSigned: boolean): Float64Array {
  const positive: number[] = [];
  for (let exponent = 0; exponent <= fractionBits; exponent++) {
    const count = 2 ** (fractionBits - exponent);
    for (let index = 0; index < count; index++) {
      positive.push(10 ** -exponent * (0.1 + (0.9 * (index + 0.5)) / count));
    }
  }
  const numbers = isSigned ? [0, 1, ...positive, ...positive.map((value) => -value)] : [0, ...positive];
  const book = Float64Array.from(numbers).sort();
  book[255] = 1;
  return book;
}

/** Index of the number of an ascending book that lies nearest; of two as near, the lower. */
function nearest(book: Float64Array, value: number): number {
  let [low, high] = [0, book.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (book[middle]! < value) low = middle;
    else high = middle;
  }
  return value - book[low]! <= book[high]! - value ? low : high;
}
