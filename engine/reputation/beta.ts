import { exp, log } from "#runtime/inference/exponential";
import { invariant } from "#schema/errors";

/** Cells of the integral. Quantiles are within 3e-6 of the closed forms. */
const cells = 4_096;

/**
 * The quantile of a Beta(a, b) distribution, a, b ≥ 1: the x below which lies the share `level` of it. By Simpson's rule
 * over the part that is not negligible, with + − × ÷ √ and our own exponential alone: the same bits on every machine.
 */
export function betaQuantile(a: number, b: number, level: number): number {
  invariant(a >= 1 && b >= 1 && level > 0 && level < 1, `a Beta distribution with a, b ≥ 1, got ${a}, ${b}`);
  const mean = a / (a + b);
  const deviation = Math.sqrt((mean * (1 - mean)) / (a + b + 1));
  const low = Math.max(0, mean - 12 * deviation);
  const high = Math.min(1, mean + 12 * deviation);
  // Relative to the mean, which is inside: the density is nowhere more than a few times that there.
  const scale = logDensity(a, b, mean);
  const density = (x: number) => exp(logDensity(a, b, x) - scale);
  const step = (high - low) / cells;
  const sums = new Float64Array(cells + 1);
  let before = density(low);
  for (let cell = 0; cell < cells; cell++) {
    const start = low + cell * step;
    const after = density(start + step);
    sums[cell + 1] = sums[cell]! + before + 4 * density(start + step / 2) + after;
    before = after;
  }
  const wanted = level * sums[cells]!;
  const cell = sums.findIndex((sum) => sum >= wanted);
  return low + (cell - 1 + (wanted - sums[cell - 1]!) / (sums[cell]! - sums[cell - 1]!)) * step;
}

/** (a − 1) ln x + (b − 1) ln(1 − x), its limits at the ends; x a little outside by rounding counts as at the end. */
function logDensity(a: number, b: number, x: number): number {
  const part = (power: number, base: number) => (power === 0 ? 0 : base <= 0 ? -Infinity : power * log(base));
  return part(a - 1, x) + part(b - 1, 1 - x);
}
