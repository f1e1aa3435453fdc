import * as ort from "onnxruntime-node";
import type { Linear } from "#runtime/decoder/description";
import type { Run } from "#runtime/inference/session";
import { type Columns, columnsOf, maskOf, type SharedAdapter } from "./adapter-bank.ts";

/** Sets of adapters whose columns are kept: those of the running batch, and those of the prompt or batch beside it. */
const keptMax = 2;

/** Inputs of a graph of `columnsBuild` for rows that follow these adapters; null is the base model. */
export type AdapterFeeds = (followed: readonly (SharedAdapter | null)[]) => Parameters<Run>[0];

/** Feeds for a model whose `linears` can be adapted; none where none can. */
export function createAdapterFeeds(linears: readonly Linear[]): AdapterFeeds {
  if (linears.length === 0) return () => ({});
  let kept: { readonly key: string; readonly columns: Columns }[] = [];
  return (followed) => {
    const adapters = new Map(
      followed.filter((adapter) => adapter !== null).map((adapter) => [adapter.id, adapter]),
    );
    const key = [...adapters.keys()].toSorted((x, y) => x - y).join();
    const found = kept.find((each) => each.key === key) ?? {
      key,
      columns: columnsOf(linears, [...adapters.values()]),
    };
    kept = [found, ...kept.filter((each) => each !== found)].slice(0, keptMax);
    const { columns } = found;
    const feeds: Parameters<Run>[0] = {
      adapterMask: floats(maskOf(columns, followed), columns.count),
    };
    for (const [name, values] of columns.factors) {
      feeds[`columns.${name}`] = floats(values, values.length / columns.count);
    }
    return feeds;
  };
}

/** float32[…, width] over `values`, not copied. */
function floats(values: Float32Array, width: number): ort.Tensor {
  return new ort.Tensor("float32", values, [values.length / width, width]);
}
