import { pcg32 } from "#runtime/inference/sampler";

export const adapterHash = `0x${"00".repeat(32)}`;
export const methodHash = `0x${"11".repeat(32)}`;

/** Numbers in [−1, 1] from a seed, twice as many as columns: every window of them is another gradient. */
export function pattern(columns: number): Float32Array {
  const next = pcg32(4n);
  return Float32Array.from({ length: columns * 2 }, () => next() / 2 ** 31 - 1);
}
