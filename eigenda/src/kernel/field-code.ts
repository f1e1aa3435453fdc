import { type Code, type FunctionCode, i64, local } from "./assembler.ts";

/**
 * Field elements in memory: nine limbs of 29 bits, each in 4 bytes, least significant first, in Montgomery form (times
 * 2^261). Products of limbs then sum up without a carry: 27 · 2^58 < 2^64.
 * "Canonical" is below p. The functions take and give values some multiples of p above that; each says how many. 2^261 is
 * about 169 p, so a product of values below 8p, reduced, is below 2p.
 */
export const limbCount = 9;
export const limbBits = 29;
export const elementBytes = 4 * limbCount;

const mask = (1n << BigInt(limbBits)) - 1n;
const maskCode = i64.const(mask);

/** A value held in nine locals, the first of which is this. */
type Held = number;
type Product = readonly [Held, Held];

/**
 * The arithmetic of one prime field below 2^254, or of its extension by i² = −1 (two elements, real part first).
 * Names: `prefix` + mul, square, add, sub, subWide, reduce. Outputs may be inputs.
 */
export function fieldCode(prefix: string, modulus: bigint, degree: 1 | 2): FunctionCode[] {
  return [
    degree === 1 ? multiply(`${prefix}mul`, modulus) : multiplyExtension(`${prefix}mul`, modulus),
    degree === 1 ? square(`${prefix}square`, modulus) : squareExtension(`${prefix}square`, modulus),
    linear(`${prefix}add`, degree, (_, a, b) => i64.add(a, b)),
    // a − b + 2p for b up to 2p, and a − b + 4p for b up to 4p: never negative.
    linear(`${prefix}sub`, degree, difference(2n * modulus)),
    linear(`${prefix}subWide`, degree, difference(4n * modulus)),
    reduce(`${prefix}reduce`, modulus, degree),
  ];
}

export function toLimbs(value: bigint): bigint[] {
  return Array.from({ length: limbCount }, (_, index) => (value >> BigInt(limbBits * index)) & mask);
}

/** out = a · b / 2^261, below 2p. Inputs below 8p. */
function multiply(name: string, modulus: bigint): FunctionCode {
  const [a, b, m, sum] = [3, 12, 21, 30];
  const body = [
    load(1, 0, a),
    load(2, 0, b),
    reducedSum(modulus, 0, { products: [[a, b]], doubled: [], squared: [], m, sum }),
  ];
  return { name, pointers: 3, scratch: 28, body };
}

/** out = a · a / 2^261, below 2p. Input below 8p. */
function square(name: string, modulus: bigint): FunctionCode {
  const [a, m, sum] = [2, 11, 20];
  const body = [load(1, 0, a), reducedSum(modulus, 0, { products: [], doubled: [], squared: [a], m, sum })];
  return { name, pointers: 2, scratch: 19, body };
}

/** (a0 b0 − a1 b1) + (a0 b1 + a1 b0) i: each part is one sum of two products, reduced once. Inputs below 8p. */
function multiplyExtension(name: string, modulus: bigint): FunctionCode {
  const [a0, a1, b0, b1, minusA1, m, sum] = [3, 12, 21, 30, 39, 48, 57];
  const parts = { doubled: [], squared: [], m, sum };
  const body = [
    load(1, 0, a0),
    load(1, elementBytes, a1),
    load(2, 0, b0),
    load(2, elementBytes, b1),
    carried(sum, minusA1, (index) =>
      i64.sub(i64.const(toLimbs(8n * modulus)[index]!), local.get(a1 + index)),
    ),
    reducedSum(modulus, 0, {
      ...parts,
      products: [
        [a0, b0],
        [minusA1, b1],
      ],
    }),
    reducedSum(modulus, elementBytes, {
      ...parts,
      products: [
        [a0, b1],
        [a1, b0],
      ],
    }),
  ];
  return { name, pointers: 3, scratch: 55, body };
}

/** (a0 + a1)(a0 − a1) + 2 a0 a1 i. Input below 2p. */
function squareExtension(name: string, modulus: bigint): FunctionCode {
  const [a0, a1, sumOf, differenceOf, m, sum] = [2, 11, 20, 29, 38, 47];
  const parts = { squared: [], m, sum };
  const body = [
    load(1, 0, a0),
    load(1, elementBytes, a1),
    carried(sum, sumOf, (index) => i64.add(local.get(a0 + index), local.get(a1 + index))),
    carried(sum, differenceOf, (index) =>
      difference(2n * modulus)(index, local.get(a0 + index), local.get(a1 + index)),
    ),
    reducedSum(modulus, 0, { ...parts, products: [[sumOf, differenceOf]], doubled: [] }),
    reducedSum(modulus, elementBytes, { ...parts, products: [], doubled: [[a0, a1]] }),
  ];
  return { name, pointers: 2, scratch: 46, body };
}

function difference(offset: bigint): (index: number, a: Code, b: Code) => Code {
  const limbs = toLimbs(offset);
  return (index, a, b) => i64.add(i64.sub(a, b), i64.const(limbs[index]!));
}

/** out = combine(a, b) limb by limb, carried. Does not reduce. */
function linear(
  name: string,
  degree: 1 | 2,
  combine: (index: number, a: Code, b: Code) => Code,
): FunctionCode {
  const carry = 3;
  const body = parts(degree).map((offset) =>
    limbIndexes().map((index) => {
      const at = offset + 4 * index;
      const limb = combine(index, i64.load32(local.get(1), at), i64.load32(local.get(2), at));
      return storeCarried(carry, index, limb, at);
    }),
  );
  return { name, pointers: 3, scratch: 1, body };
}

/** out = a, canonical. Input below 8p: takes off 4p, 2p and p where that leaves something. */
function reduce(name: string, modulus: bigint, degree: 1 | 2): FunctionCode {
  const [value, less, carry] = [2, 11, 20];
  const body = parts(degree).map((offset) => [
    load(1, offset, value),
    [4n, 2n, 1n].map((multiple) => [
      carried(carry, less, (index) =>
        i64.sub(local.get(value + index), i64.const(toLimbs(multiple * modulus)[index]!)),
      ),
      limbIndexes().map((index) =>
        local.set(
          value + index,
          i64.select(
            i64.isBelow(local.get(less + limbCount - 1), i64.const(0n)),
            local.get(value + index),
            local.get(less + index),
          ),
        ),
      ),
    ]),
    limbIndexes().map((index) => i64.store32(local.get(0), offset + 4 * index, local.get(value + index))),
  ]);
  return { name, pointers: 2, scratch: 19, body };
}

/**
 * Stores (Σ products + Σ 2·doubled + Σ squared) / 2^261, column by column (Montgomery reduction by product scanning). Columns 0 to 8 fix the
 * multiple m of p that makes them zero; columns 9 to 17 are the result.
 */
function reducedSum(
  modulus: bigint,
  outOffset: number,
  sums: { products: Product[]; doubled: Product[]; squared: Held[]; m: Held; sum: number },
): Code {
  const { m, sum } = sums;
  const p = toLimbs(modulus);
  const minusInverse = i64.const(inverseModLimb(modulus));
  const code: Code[] = [local.set(sum, i64.const(0n))];
  for (let column = 0; column < 2 * limbCount - 1; column++) {
    // The products come first: they wait for nothing, so the processor computes them ahead of the carry.
    const terms = columnTerms(sums, column);
    for (let i = Math.max(0, column - limbCount + 1); i < Math.min(column, limbCount); i++) {
      terms.push(i64.mul(local.get(m + i), i64.const(p[column - i]!)));
    }
    const total = i64.add(
      terms.reduce((left, right) => i64.add(left, right)),
      local.get(sum),
    );
    code.push(local.set(sum, total));
    if (column < limbCount) {
      const factor = i64.and(i64.mul(local.get(sum), minusInverse), maskCode);
      code.push(local.set(m + column, factor));
      const cleared = i64.add(local.get(sum), i64.mul(local.get(m + column), i64.const(p[0]!)));
      code.push(local.set(sum, i64.shiftRight(cleared, limbBits)));
    } else {
      const limb = i64.and(local.get(sum), maskCode);
      code.push(i64.store32(local.get(0), outOffset + 4 * (column - limbCount), limb));
      code.push(local.set(sum, i64.shiftRight(local.get(sum), limbBits)));
    }
  }
  code.push(i64.store32(local.get(0), outOffset + 4 * (limbCount - 1), local.get(sum)));
  return code;
}

function columnTerms(
  sums: { products: Product[]; doubled: Product[]; squared: Held[] },
  column: number,
): Code[] {
  const terms: Code[] = [];
  const rows = limbIndexes().filter((i) => column - i >= 0 && column - i < limbCount);
  const product = (a: Held, b: Held, i: number) => i64.mul(local.get(a + i), local.get(b + column - i));
  for (const [a, b] of sums.products) for (const i of rows) terms.push(product(a, b, i));
  for (const [a, b] of sums.doubled) terms.push(twice(rows.map((i) => product(a, b, i))));
  for (const a of sums.squared) {
    const below = rows.filter((i) => 2 * i < column);
    if (below.length > 0) terms.push(twice(below.map((i) => product(a, a, i))));
    if (column % 2 === 0) terms.push(product(a, a, column / 2));
  }
  return terms;
}

function twice(terms: readonly Code[]): Code {
  return i64.mul(
    terms.reduce((left, right) => i64.add(left, right)),
    i64.const(2n),
  );
}

/** Sets nine locals from signed limbs, carried so that all but the last are in [0, 2^29). */
function carried(carry: number, target: Held, limb: (index: number) => Code): Code {
  return limbIndexes().map((index) => {
    const value = index === 0 ? limb(index) : i64.add(limb(index), local.get(carry));
    if (index === limbCount - 1) return local.set(target + index, value);
    return [
      local.set(carry, value),
      local.set(target + index, i64.and(local.get(carry), maskCode)),
      local.set(carry, i64.shiftRightSigned(local.get(carry), limbBits)),
    ];
  });
}

function storeCarried(carry: number, index: number, limb: Code, at: number): Code {
  const value = index === 0 ? limb : i64.add(limb, local.get(carry));
  if (index === limbCount - 1) return i64.store32(local.get(0), at, value);
  return [
    local.set(carry, value),
    i64.store32(local.get(0), at, i64.and(local.get(carry), maskCode)),
    local.set(carry, i64.shiftRightSigned(local.get(carry), limbBits)),
  ];
}

function load(pointer: number, offset: number, target: Held): Code {
  return limbIndexes().map((index) =>
    local.set(target + index, i64.load32(local.get(pointer), offset + 4 * index)),
  );
}

function parts(degree: 1 | 2): number[] {
  return degree === 1 ? [0] : [0, elementBytes];
}

function limbIndexes(): number[] {
  return Array.from({ length: limbCount }, (_, index) => index);
}

/** −p^−1 modulo 2^29, by Newton's iteration. */
function inverseModLimb(modulus: bigint): bigint {
  let inverse = 1n;
  for (let bits = 1; bits < limbBits; bits *= 2) inverse = (inverse * (2n - modulus * inverse)) & mask;
  return (mask + 1n - inverse) & mask;
}
