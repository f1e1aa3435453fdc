import { invariant } from "#schema/errors";
import { factor, solve } from "./cholesky.ts";
import { covariance, type Matrix, mean, times, type Vector } from "./matrix.ts";

/**
 * TRAK's output function log(p / (1 − p)) from log p. Where a model has converged, p ≈ 1 and the gradient of log p
 * vanishes; the margin's does not: ∇margin = ∇log p / (1 − p). Source: §3.1, Park et al. 2023.
 */
export function margin(logProb: number): number {
  return logProb - Math.log(complement(logProb));
}

/** 1 − p without cancellation, at least the smallest normal number. */
export function complement(logProb: number): number {
  return Math.max(-Math.expm1(logProb), 2.2250738585072014e-308);
}

/** One model of the ensemble: projected margin gradients φ [n, k] and the query's, and 1 − pᵢ of each record. */
export type TrakModel = { readonly features: Matrix; readonly query: Vector; readonly complements: Vector };

/**
 * TRAK: (mean over models of Q) · (mean over models of Φ(ΦᵀΦ)⁻¹φ), Q = diag(1 − pᵢ). Eq. 14–17, Park et al. 2023.
 * `ridge` · mean diagonal is added to ΦᵀΦ: with n < k it has no inverse.
 */
export function trak(models: readonly TrakModel[], ridge = 1e-6): Float64Array {
  invariant(models.length > 0, "at least one model");
  const parts = models.map(({ features, query }) => times(features, solve(inverse(features, ridge), query)));
  return parts[0]!.map(
    (_, i) => mean(parts.map((part) => part[i]!)) * mean(models.map(({ complements }) => complements[i]!)),
  );
}

function inverse(features: Matrix, ridge: number): Matrix {
  const sums = covariance(features);
  const diagonal = Array.from({ length: sums.rows }, (_, i) => sums.values[i * sums.rows + i]!);
  return factor(sums, Math.max(ridge * mean(diagonal), Number.MIN_VALUE));
}
