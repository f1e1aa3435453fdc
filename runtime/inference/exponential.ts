/**
 * e^x and ln x by + − × ÷ alone. ECMAScript fixes those to the bit and leaves Math.exp, Math.log and ** to the
 * implementation, so what is drawn from a seed could differ between machines. Within 2 units in the last place.
 */

/** ln 2 = high + low; the first has few bits, so that a small integer times it is exact. Source: Cody & Waite 1980. */
const ln2High = 0.693359375;
const ln2Low = -2.121944400546906e-4;

/** 1 ÷ n!: the exponential series to r¹⁵, which is below 2⁻⁵³ of the whole for |r| ≤ ln 2 ÷ 2. */
const [c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15] = inverseFactorials();

/** Terms of the logarithm's series: z²⁴ is below 2⁻⁵³ for |z| ≤ (√2 − 1) ÷ (√2 + 1). */
const logarithmTerms = 12;

/** 2^e at e + 1022: of every normal number. */
const powers = Float64Array.from({ length: 2046 }, (_, index) => floatOf((index + 1) << 20));

const bits = new DataView(new ArrayBuffer(8));

/** e^x; 0 below the smallest normal number, Infinity above the largest. */
export function exp(x: number): number {
  if (!(x >= -708)) return Number.isNaN(x) ? x : 0;
  if (x > 709) return Infinity;
  const halvings = Math.round(x / Math.LN2);
  const rest = x - halvings * ln2High - halvings * ln2Low;
  // Even and odd powers apart: two short chains of operations run at once.
  const q = rest * rest;
  const even = ((((((c14 * q + c12) * q + c10) * q + c8) * q + c6) * q + c4) * q + c2) * q + 1;
  const odd = ((((((c15 * q + c13) * q + c11) * q + c9) * q + c7) * q + c5) * q + c3) * q + 1;
  // In two steps: 2^1023 is the largest power there is.
  const half = Math.trunc(halvings / 2);
  return (even + odd * rest) * powerOfTwo(half) * powerOfTwo(halvings - half);
}

/** ln x for a normal positive x; NaN for what has no logarithm. */
export function log(x: number): number {
  if (x === Infinity) return x;
  if (!(x >= 2.2250738585072014e-308)) return x === 0 ? -Infinity : Number.NaN;
  bits.setFloat64(0, x);
  let exponent = ((bits.getUint32(0) >>> 20) & 0x7ff) - 1023;
  let fraction = x / powerOfTwo(exponent);
  if (fraction > Math.SQRT2) {
    fraction /= 2;
    exponent++;
  }
  const z = (fraction - 1) / (fraction + 1);
  let sum = 0;
  for (let term = logarithmTerms; term >= 0; term--) sum = sum * z * z + 1 / (2 * term + 1);
  return 2 * z * sum + exponent * ln2Low + exponent * ln2High;
}

/** 2^exponent for −1022 to 1023. */
function powerOfTwo(exponent: number): number {
  return powers[exponent + 1022]!;
}

/** The float64 whose upper word is this and whose lower is 0. */
function floatOf(upperWord: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, upperWord);
  return view.getFloat64(0);
}

type Fourteen = [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

/** 1 ÷ 2! to 1 ÷ 15!. The factorials are exact, so each is rounded once. */
function inverseFactorials(): Fourteen {
  let factorial = 1;
  return Array.from({ length: 14 }, (_, index) => {
    factorial *= index + 2;
    return 1 / factorial;
  }) as Fourteen;
}
