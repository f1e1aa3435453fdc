import * as ort from "onnxruntime-node";
import type { Linear } from "#runtime/decoder/description";
import type { Run } from "#runtime/inference/session";
import type { SharedAdapter } from "./adapter-bank.ts";

/** Slots that are kept filled: those of the running batch, and those of the prompt or batch beside it. */
const keptMax = 2;

/**
 * Fewest columns of a factor and fewest slots, so that a row has the same bits in any company. Kernels cut sums
 * into pieces whose length depends on the number of columns when that is 64 or less; above it is always 128.
 * The single row of a step is never cut, but a lone slot would fold the rows of a step into one product.
 * Source: onnxruntime/core/mlas/lib/sgemm.cpp (strides) and core/providers/cpu/math/matmul_helper.h.
 */
const least = { step: { columns: 8, slots: 2 }, sequences: { columns: 72, slots: 1 } } as const;

/** What a graph runs: one token of each row, or whole sequences. */
export type RowKind = keyof typeof least;

/** Inputs of a graph of `slotsBuild` for rows that follow these adapters; null is the base model. */
export type AdapterFeeds = (kind: RowKind, followed: readonly (SharedAdapter | null)[]) => Parameters<Run>[0];

/** Feeds for a model whose `linears` can be adapted; none where none can. */
export function createAdapterFeeds(linears: readonly Linear[]): AdapterFeeds {
  if (linears.length === 0) return () => ({});
  let kept: { readonly key: string; readonly feeds: Parameters<Run>[0] }[] = [];
  return (kind, followed) => {
    const { slots, cells, places } = placeRows(followed, least[kind].slots);
    const key = [kind, ...slots.map((adapter) => adapter?.id ?? "base")].join();
    const found = kept.find((each) => each.key === key) ?? {
      key,
      feeds: fill(linears, slots, least[kind].columns),
    };
    kept = [found, ...kept.filter((each) => each !== found)].slice(0, keptMax);
    return {
      adapterCells: new ort.Tensor("int64", cells, [cells.length / slots.length, slots.length]),
      adapterPlaces: new ort.Tensor("int64", places, [places.length]),
      ...found.feeds,
    };
  };
}

/**
 * Rows in lines over slots. There are as many lines as a slot would have rows if all adapters had the same
 * number; an adapter with more rows than that fills further slots, so that cells are never more than twice the
 * rows, and one slot for each adapter besides.
 */
function placeRows(followed: readonly (SharedAdapter | null)[], slotsMin: number) {
  const rowsOf = Map.groupBy(followed.keys(), (row) => followed[row]?.id ?? -1);
  const lines = Math.ceil(followed.length / rowsOf.size);
  const slots: (SharedAdapter | null)[] = [];
  const at: { row: number; line: number; slot: number }[] = [];
  for (const [, rows] of [...rowsOf].toSorted(([x], [y]) => x - y)) {
    rows.forEach((row, index) => {
      if (index % lines === 0) slots.push(followed[row] ?? null);
      at.push({ row, line: index % lines, slot: slots.length - 1 });
    });
  }
  while (slots.length < slotsMin) slots.push(null);
  const cells = new BigInt64Array(lines * slots.length);
  const places = new BigInt64Array(followed.length);
  for (const { row, line, slot } of at) {
    const cell = line * slots.length + slot;
    cells[cell] = BigInt(row);
    places[row] = BigInt(cell);
  }
  return { slots, cells, places };
}

/** Factors slot after slot, each with zeros after its own columns. */
function fill(
  linears: readonly Linear[],
  slots: readonly (SharedAdapter | null)[],
  columnsMin: number,
): Parameters<Run>[0] {
  const columns = Math.max(columnsMin, ...slots.map((adapter) => adapter?.width ?? 0));
  const feeds: Parameters<Run>[0] = {};
  for (const { name, inSize, outSize } of linears) {
    for (const [part, size] of [
      ["a", inSize],
      ["b", outSize],
    ] as const) {
      const values = new Float32Array(slots.length * columns * size);
      slots.forEach((adapter, slot) => {
        const own = adapter?.factors.get(`${name}.${part}`);
        if (own) values.set(own, slot * columns * size);
      });
      feeds[`slots.${name}.${part}`] = new ort.Tensor("float32", values, [slots.length, columns, size]);
    }
  }
  return feeds;
}
