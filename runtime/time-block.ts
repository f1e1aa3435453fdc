/**
 * Sequences are padded, and key-value caches grow, in blocks of this many tokens. Kernels sum long rows in
 * vectors of up to 64 floats, so padding to whole blocks leaves the sums of the real tokens untouched.
 */
export const timeBlockTokens = 64;

/** Round a token count up to whole blocks, at least one. */
export function blockTokens(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / timeBlockTokens)) * timeBlockTokens;
}
