import type { Hex } from "viem";
import { PipelineError } from "#schema/errors";
import { entryBytes, type Layout } from "../gradient-store/layout.ts";
import { type ProjectionShape, projectedColumnsMin } from "../influence/projection.ts";
import type { StoreMethod } from "./methods.ts";

/** Most bytes of a training's gradients, at all its states: they are in memory while they are solved or multiplied. */
export const storeBytesMax = 1024 ** 3;

/** Most columns of a block in primal form: its Fisher information takes the square of them. */
export const primalColumnsMax = 1_024;

/** How gradients are kept: the primal form in one byte an entry, of which memory holds most. */
export function encodingOf(method: StoreMethod): Layout["encoding"] {
  return method === "efim-primal" ? "int8" : "float32";
}

/** Of the projection: columns an entry goes to, and the seed. */
const [nonZeros, seed] = [8, 1];

type Training = {
  adapterHash: Hex;
  blocks: Layout["blocks"];
  records: number;
  /** States that gradients are kept of. */
  states: number;
  method: StoreMethod;
};

/**
 * How gradients are kept: as they are (null) where all fit into `bytesMax`, else blocks wider than `columns` projected to
 * as many as fit; in primal form always, to at most `primalColumnsMax`. Adam's step, by which LESS measures, cannot be taken for a projected gradient. Pure.
 * @throws StoreTooLargeError where that is none, or fewer columns together than rank records.
 */
export function shapeOf(
  { adapterHash, blocks, records, states, method }: Training,
  bytesMax = storeBytesMax,
): ProjectionShape | null {
  const isPrimal = method === "efim-primal";
  const perColumn = entryBytes[encodingOf(method)] * records * states;
  const bytes = perColumn * blocks.reduce((sum, { columns }) => sum + columns, 0);
  if (bytes <= bytesMax && !isPrimal) return null;
  const fitting = Math.floor(bytesMax / perColumn / blocks.length);
  const most = isPrimal ? Math.min(primalColumnsMax, fitting) : fitting;
  const columns = most - (most % nonZeros);
  if (method === "less" || columns * blocks.length < projectedColumnsMin)
    throw new StoreTooLargeError(adapterHash, bytes, bytesMax);
  return { columns, nonZeros, seed };
}

/** The blocks of such a store. Pure. */
export function shaped(blocks: Layout["blocks"], shape: ProjectionShape | null): Layout["blocks"] {
  const columnsMax = shape?.columns ?? Number.POSITIVE_INFINITY;
  return blocks.map(({ name, columns }) => ({ name, columns: Math.min(columns, columnsMax) }));
}

export class StoreTooLargeError extends PipelineError {
  override readonly name = "StoreTooLargeError";
  constructor(adapterHash: Hex, bytes: number, bytesMax: number) {
    super(
      `the gradients of adapter ${adapterHash} are too large to store. Max: ${bytesMax} bytes. Given: ${bytes} bytes.`,
      { code: "store_too_large", retryable: false },
    );
  }
}
