import { invariant } from "#schema/errors";
import type { Block, Query } from "./block.ts";
import { matrix, row, type Vector } from "./matrix.ts";

/** Columns to project to, non-zeros per input coordinate, and the seed: with the block's position all that is needed. */
export type ProjectionShape = { readonly columns: number; readonly nonZeros: number; readonly seed: number };

/** Below this LDS falls to that of the gradient dot product (measured: 256 and 1,024 over all matrices together). */
export const projectedColumnsMin = 512;

/**
 * Sparse Johnson–Lindenstrauss transform: every coordinate goes with sign ±1/√s into s of k columns, one from each of
 * s equal ranges of them, all hashed from (seed, coordinate, range). Inner products are kept in expectation; O(s·d) per
 * gradient and nothing stored. Source: the block construction of Kane & Nelson 2014, §2.
 */
export function project(x: Vector, shape: ProjectionShape): Float32Array {
  const { columns, nonZeros, seed } = shape;
  invariant(columns % nonZeros === 0, "the columns divide into a range for each non-zero");
  const width = columns / nonZeros;
  const scale = 1 / Math.sqrt(nonZeros);
  const sums = new Float64Array(columns);
  for (let i = 0; i < x.length; i++) {
    const value = x[i]! * scale;
    if (value === 0) continue;
    for (let range = 0; range < nonZeros; range++) {
      const hash = mix(mix(seed ^ Math.imul(range + 1, 0x9e3779b1)) ^ i);
      // The top bit is the sign, the rest the column: a power of two is not needed at this many buckets.
      sums[range * width + ((hash & 0x7fffffff) % width)]! += hash < 0 ? -value : value;
    }
  }
  return Float32Array.from(sums);
}

/** All records of a block, each block under its own seed. */
export function projectBlock(block: Block, shape: ProjectionShape, position: number): Block {
  const projected = matrix(block.rows, shape.columns, new Float32Array(block.rows * shape.columns));
  for (let i = 0; i < block.rows; i++) row(projected, i).set(project(row(block, i), seeded(shape, position)));
  return projected;
}

export function projectQuery(query: Query, shape: ProjectionShape): Query {
  return query.map((v, position) => project(v, seeded(shape, position)));
}

/** Blocks wider than the shape alone; the others are exact as they are. */
export function projectWide(query: Query, shape: ProjectionShape): Query {
  return query.map((v, position) => (v.length <= shape.columns ? v : project(v, seeded(shape, position))));
}

function seeded(shape: ProjectionShape, position: number): ProjectionShape {
  return { ...shape, seed: mix(shape.seed ^ Math.imul(position + 1, 0x85ebca77)) };
}

/** A bijection of 32-bit integers in which every input bit moves every output bit. Source: MurmurHash3's finaliser. */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
