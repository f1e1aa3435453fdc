import { fpModulus, frModulus } from "../curve/field.ts";
import { invariant } from "../errors.ts";
import { assemble } from "./assembler.ts";
import { elementBytes, fieldCode, limbBits, limbCount, toLimbs } from "./field-code.ts";

/** An address in the kernel's memory; 0 is nothing (and, of points, infinity). */
export type Pointer = number;

/** One field's arithmetic on addresses of elements; field-code.ts tells the bounds. */
export type Field = {
  /** Bytes of an element in memory. */
  bytes: number;
  /** Prime field elements that make up one: 1, or 2 (real part first). */
  degree: 1 | 2;
  modulus: bigint;
  mul(out: Pointer, a: Pointer, b: Pointer): void;
  square(out: Pointer, a: Pointer): void;
  add(out: Pointer, a: Pointer, b: Pointer): void;
  sub(out: Pointer, a: Pointer, b: Pointer): void;
  subWide(out: Pointer, a: Pointer, b: Pointer): void;
  reduce(out: Pointer, a: Pointer): void;
};

const pageBytes = 65_536;

/** Signed 32-bit integers hold addresses: 2 GiB. */
const pagesMax = 32_768;

/** The first element's address: 0 stays free to mean nothing. */
const firstPointer = 64;

/** Montgomery's radix: elements are held times this. */
const radix = 1n << BigInt(limbBits * limbCount);

let compiled: WebAssembly.Module | null = null;

/**
 * BN254's fields in WebAssembly made here, with a memory of its own that only grows. Some 5 ms the first time on a thread.
 * Memory is taken from its end and given back in reverse: `mark`, `take`, `release`.
 */
export class Kernel {
  readonly fr: Field;
  readonly fp: Field;
  readonly fp2: Field;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: pagesMax });
  #limbs: Uint32Array;
  #end = firstPointer;

  constructor() {
    compiled ??= new WebAssembly.Module(
      assemble([
        ...fieldCode("fr.", frModulus, 1),
        ...fieldCode("fp.", fpModulus, 1),
        ...fieldCode("fp2.", fpModulus, 2),
      ]),
    );
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory: this.#memory } });
    this.#limbs = new Uint32Array(this.#memory.buffer);
    this.fr = fieldOf(exports, "fr.", frModulus, 1);
    this.fp = fieldOf(exports, "fp.", fpModulus, 1);
    this.fp2 = fieldOf(exports, "fp2.", fpModulus, 2);
  }

  /** The memory as 32-bit words; a pointer p is at index p / 4. Stale after the next `take`. */
  get words(): Uint32Array {
    return this.#limbs;
  }

  get bytesHeld(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Memory that is the caller's until it releases a mark made before. Not cleared. */
  take(bytes: number): Pointer {
    const pointer = this.#end;
    this.#end += bytes;
    const missing = Math.ceil(this.#end / pageBytes) - this.#memory.buffer.byteLength / pageBytes;
    if (missing > 0) {
      this.#memory.grow(missing);
      this.#limbs = new Uint32Array(this.#memory.buffer);
    }
    return pointer;
  }

  mark(): Pointer {
    return this.#end;
  }

  release(mark: Pointer): void {
    invariant(mark <= this.#end, "memory is given back in reverse order");
    this.#end = mark;
  }

  /** Writes a number below the modulus, in Montgomery form. Of an extension: one part. */
  write(field: Field, pointer: Pointer, value: bigint): void {
    toLimbs((value * radix) % field.modulus).forEach((limb, index) => {
      this.#limbs[pointer / 4 + index] = Number(limb);
    });
  }

  /** The number that a canonical element stands for. Of an extension: one part. */
  read(field: Field, pointer: Pointer): bigint {
    let value = 0n;
    for (let index = limbCount - 1; index >= 0; index--) {
      value = (value << BigInt(limbBits)) | BigInt(this.#limbs[pointer / 4 + index]!);
    }
    return (value * radixInverse(field.modulus)) % field.modulus;
  }

  /** Reads a number of 32 big-endian bytes into an element as it stands: not brought into Montgomery form, nor below the modulus. */
  readPlain(target: Pointer, bytes: Uint8Array, offset: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    unpack(view, offset, this.#limbs, target / 4);
  }

  /**
   * Reads `count` numbers of 32 big-endian bytes each into consecutive elements, in Montgomery form and canonical.
   * Bounds are not checked: a number above the modulus is taken modulo it.
   */
  readBytes(field: Field, target: Pointer, bytes: Uint8Array, count: number): void {
    const mark = this.mark();
    const radixSquared = this.take(elementBytes);
    this.write(field, radixSquared, radix % field.modulus);
    for (let index = 0; index < count; index++) {
      const pointer = target + index * elementBytes;
      this.readPlain(pointer, bytes, index * 32);
      field.mul(pointer, pointer, radixSquared);
      field.reduce(pointer, pointer);
    }
    this.release(mark);
  }

  /** Inverse of `readBytes`; elements need not be canonical. */
  writeBytes(field: Field, bytes: Uint8Array, source: Pointer, count: number): void {
    const mark = this.mark();
    const one = this.take(elementBytes);
    this.#limbs.fill(0, one / 4, one / 4 + limbCount);
    this.#limbs[one / 4] = 1;
    this.writeProducts(field, bytes, source, one, count);
    this.release(mark);
  }

  /** Writes `count` consecutive elements, each times `factor`, canonical, as 32 big-endian bytes each: plain if exactly one of the two is in Montgomery form. */
  writeProducts(field: Field, bytes: Uint8Array, source: Pointer, factor: Pointer, count: number): void {
    const mark = this.mark();
    const plain = this.take(elementBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let index = 0; index < count; index++) {
      field.mul(plain, source + index * elementBytes, factor);
      field.reduce(plain, plain);
      pack(view, index * 32, this.#limbs, plain / 4);
    }
    this.release(mark);
  }
}

function fieldOf(exports: WebAssembly.Exports, prefix: string, modulus: bigint, degree: 1 | 2): Field {
  const named = (name: string) => exports[prefix + name] as () => void;
  return {
    bytes: degree * elementBytes,
    degree,
    modulus,
    mul: named("mul"),
    square: named("square"),
    add: named("add"),
    sub: named("sub"),
    subWide: named("subWide"),
    reduce: named("reduce"),
  };
}

const radixInverses = new Map<bigint, bigint>();

function radixInverse(modulus: bigint): bigint {
  const known = radixInverses.get(modulus);
  if (known !== undefined) return known;
  let inverse = 1n;
  for (let bit = 0; bit < limbBits * limbCount; bit++) {
    inverse = inverse % 2n === 0n ? inverse / 2n : (inverse + modulus) / 2n;
  }
  radixInverses.set(modulus, inverse);
  return inverse;
}

/** 32 big-endian bytes to nine limbs. */
function unpack(view: DataView, offset: number, limbs: Uint32Array, at: number): void {
  let held = 0;
  let heldBits = 0;
  let limb = 0;
  for (let word = 7; word >= 0; word--) {
    const next = view.getUint32(offset + 4 * word);
    limbs[at + limb++] = (held | (next << heldBits)) & limbMask;
    const used = limbBits - heldBits;
    held = next >>> used;
    heldBits = 32 - used;
  }
  limbs[at + limb] = held;
}

/** Nine limbs of a canonical number to 32 big-endian bytes. */
function pack(view: DataView, offset: number, limbs: Uint32Array, at: number): void {
  for (let word = 0; word < 8; word++) {
    const bit = 32 * word;
    const limb = Math.floor(bit / limbBits);
    const skipped = bit - limb * limbBits;
    const low = limbs[at + limb]! >>> skipped;
    const middle = limbs[at + limb + 1]! << (limbBits - skipped);
    const high = 2 * limbBits - skipped < 32 ? limbs[at + limb + 2]! << (2 * limbBits - skipped) : 0;
    view.setUint32(offset + 4 * (7 - word), low | middle | high);
  }
}

const limbMask = 2 ** limbBits - 1;
