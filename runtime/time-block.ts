/**
 * Sequences are padded, and key-value caches grow, in blocks of this many tokens. Kernels sum long rows in
 * vectors of up to 64 floats, so padding to whole blocks leaves the sums of the real tokens untouched.
 */
export const timeBlockTokens = 64;

/** Round a token count up to whole blocks, at least one. */
export function blockTokens(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / timeBlockTokens)) * timeBlockTokens;
}

/**
 * Slots that rows of a running batch need for so many tokens each: whole blocks, of wide heads at least two. Kernels
 * cut a product over more than 128 channels into pieces whose length depends on the number of columns, here slots,
 * where those are 64 or fewer: a row's bits would depend on whether a longer one stands beside it.
 * Source: onnxruntime/core/mlas/lib/sgemm.cpp (strides).
 */
export function cacheSlots(tokens: number, headSize: number): number {
  return Math.max(headSize > 128 ? 2 * timeBlockTokens : 0, blockTokens(tokens));
}
