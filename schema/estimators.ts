/**
 * What stands beside an influence: how it was found, and whether that is causal: passages or records were taken away, or
 * a training's gradients followed, to see what changes. Where likeness decides, or decides in part, it is not.
 */
const causal = {
  "shapley-exact": true,
  "shapley-permutations": true,
  "leave-one-out": true,
  surrogate: true,
  similarity: false,
  "black-box-similarity": false,
  "efim-dual": true,
  "efim-primal": true,
  datainf: true,
  "grad-dot": true,
  trak: true,
  tracin: true,
  less: true,
  hybrid: false,
} as const;

export type FoundBy = keyof typeof causal;

/** Null for a name of another version: a database keeps its scores. */
export function isCausal(estimator: string): boolean | null {
  return estimator in causal ? causal[estimator as FoundBy] : null;
}
