import { decodeBlock, type Layout, offsets } from "../gradient-store/layout.ts";
import { type Manifest, readManifest, readShard, StoreDamagedError } from "../gradient-store/manifest.ts";
import { type Expected, readOwnManifest, type Store } from "../gradient-store/store.ts";
import { factor, solve } from "../influence/cholesky.ts";
import { addOuters, dot, type Matrix, matrix, row, type Vector } from "../influence/matrix.ts";
import { readBlocks } from "./read-blocks.ts";

/**
 * The primal form over a store: influence = Σₗ Gₗ·(GₗᵀGₗ/n + λₗI)⁻¹vₗ of the gradients as the store has them, the function
 * `primal` of influence/ without ever holding a matrix of all records. What a store of "fisher" has of each LoRA matrix is
 * the Cholesky factor of the bracket, in float32: λ is 0.003 of the mean |g|² or more, so that the bracket's condition
 * number is below 400, and rounding the factor moves a score by less than 1e-6 of the largest.
 */

/** Entries of a lower triangle. */
export function packedWidth(columns: number): number {
  return (columns * (columns + 1)) / 2;
}

/**
 * Lower triangle of the factor of one block of the store in `folder`, row after row, then zeros up to `width`; zeros
 * alone where all gradients are zero. One shard is in memory at a time.
 * @throws StoreDamagedError
 */
export async function packedFactor(
  folder: string,
  name: string,
  damping: number,
  width: number,
): Promise<Float32Array> {
  const manifest = await readManifest(folder);
  if (manifest === null) throw new StoreDamagedError("manifest.json", "it is missing");
  const { layout, shards } = manifest;
  const block = layout.blocks.findIndex((one) => one.name === name);
  const { columns } = layout.blocks[block]!;
  const sums = matrix(columns, columns);
  let squares = 0;
  let count = 0;
  for (const shard of shards) {
    const { rows, scales } = await readShard(folder, shard, layout);
    const gradients = Array.from({ length: shard.records }, (_, record) =>
      entryOf({ rows, scales }, layout, record, block),
    );
    addOuters(sums, gradients);
    for (const gradient of gradients) squares += dot(gradient, gradient);
    count += shard.records;
  }
  const packed = new Float32Array(width);
  const lambda = (damping * squares) / count;
  if (lambda === 0) return packed;
  for (let i = 0; i < sums.values.length; i++) sums.values[i]! /= count;
  const lower = factor(sums, lambda);
  for (let i = 0; i < columns; i++) packed.set(row(lower, i).subarray(0, i + 1), packedWidth(i));
  return packed;
}

type Rows = { rows: Uint8Array; scales: Float32Array };

function entryOf({ rows, scales }: Rows, layout: Layout, record: number, block: number): Float32Array {
  const starts = offsets(layout);
  const bytes = rows.subarray(record * starts.at(-1)! + starts[block]!);
  const scale = layout.encoding === "int8" ? scales[record * layout.blocks.length + block]! : 1;
  return decodeBlock(layout.encoding, bytes, layout.blocks[block]!.columns, scale);
}

/**
 * Scores of a query's gradients by the factors in `folder` and the products `multiply` of the rows of `gradients`, whose
 * last block is the losses.
 * @throws StoreMissingError, StoreForeignError, StoreDamagedError.
 */
export async function primalScoresOf(
  folder: string,
  expected: Expected,
  gradients: Manifest,
  multiply: Store["scores"],
): Promise<Store["scores"]> {
  await readOwnManifest(folder, expected);
  const stored = await readBlocks(folder);
  const named = gradients.layout.blocks.slice(0, -1);
  if (stored.recordIds.join() !== named.map(({ name }) => name).join())
    throw new StoreDamagedError("manifest.json", "its factors are of other matrices");
  const lowers = named.map(({ columns }, block) => unpacked(row(stored.blocks[0]!, block), columns));
  return (query, target) => {
    const solved = query.map((v, block) => {
      const lower = lowers[block]!;
      return lower === null ? new Float64Array(v.length) : solve(lower, v);
    });
    return multiply([...solved, new Float64Array(1)], target);
  };
}

/** Null where all gradients are zero: no factor has a zero on its diagonal. */
function unpacked(packed: Vector, columns: number): Matrix | null {
  if (packed[0] === 0) return null;
  const lower = matrix(columns, columns, new Float32Array(columns * columns));
  for (let i = 0; i < columns; i++)
    row(lower, i).set(packed.subarray(packedWidth(i), packedWidth(i) + i + 1));
  return lower;
}
