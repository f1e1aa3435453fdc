export const scheduleKinds = ["constant", "linear", "cosine"] as const;

/** How the learning rate moves over training; steps count from 0. As transformers' schedules with warm-up. */
export interface Schedule {
  readonly kind: (typeof scheduleKinds)[number];
  /** Learning rate at the end of the warm-up. */
  readonly peak: number;
  /** Steps over which it rises linearly from 0. */
  readonly warmupSteps: number;
  /** Steps after which `linear` and `cosine` reach 0. */
  readonly stepsMax: number;
}

/** Learning rate of a step. */
export function learningRate({ kind, peak, warmupSteps, stepsMax }: Schedule, step: number): number {
  if (step < warmupSteps) return (peak * step) / warmupSteps;
  if (kind === "constant") return peak;
  const done = Math.min(1, (step - warmupSteps) / Math.max(1, stepsMax - warmupSteps));
  return peak * (kind === "linear" ? 1 - done : (1 + Math.cos(Math.PI * done)) / 2);
}
