import { pcg32 } from "#runtime/inference/sampler";

/** One side of a projection: [rows, size], row major, or null where `size` is no more than `rows` and stays as it is. */
export type Side = Float32Array | null;

/**
 * The random matrices that shrink the gradient G[P, Q] of one factor to L·G·Rᵀ: L[rows, P], R[columns, Q],
 * entries ±1/√rows and ±1/√columns, so that inner products are kept in expectation. They follow from the
 * seed and the factor's name alone: whoever knows both can project other gradients likewise.
 * Two small matrices instead of one over all P·Q entries: the gradient is never formed in full.
 * Source: Rademacher projections, Achlioptas 2003; two-sided, Choe et al. 2024 (LoGra), §3.2.
 */
export function projection(
  name: string,
  shape: readonly [number, number],
  size: { readonly rows: number; readonly columns: number },
  seed: bigint,
): { left: Side; right: Side } {
  return {
    left: side(`${name} left`, size.rows, shape[0], seed),
    right: side(`${name} right`, size.columns, shape[1], seed),
  };
}

function side(name: string, rows: number, size: number, seed: bigint): Side {
  if (size <= rows) return null;
  const next = pcg32(BigInt.asUintN(64, seed ^ hash(name)));
  const entry = 1 / Math.sqrt(rows);
  const values = new Float32Array(rows * size);
  let bits = 0;
  for (let index = 0; index < values.length; index++) {
    if (index % 32 === 0) bits = next();
    values[index] = (bits >>> (index % 32)) & 1 ? entry : -entry;
  }
  return values;
}

/** 64-bit FNV-1a of a name in UTF-8. */
function hash(name: string): bigint {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  }
  return value;
}
