import type { Hex } from "viem";
import {
  type Adapter,
  AdapterError,
  type Device,
  type Example,
  type Gradients,
  hashAdapter,
  openGradients,
  promptedExample,
  readAdapter,
  type Tokenizer,
} from "#runtime/index";
import { invariant } from "#schema/errors";
import { examplesOf } from "#settlement/blob/training/examples";
import type { Layout } from "../gradient-store/layout.ts";
import { type ProjectionShape, projectWide } from "../influence/projection.ts";
import type { AdapterFiles } from "./files.ts";

export type TextRecord = { source: string; text: string };

/** Records whose gradients are wanted. Those longer than `tokensMax` tokens teach nothing and have none. */
export type RecordsTask = {
  adapter: AdapterFiles;
  records: readonly TextRecord[];
  tokensMax: number;
  shape: ProjectionShape | null;
};

/** For each record a vector per block, in the order of the layout, and one of its loss. */
export type RecordGradients = Float32Array[][];

/** Behind an adapter's blocks: Σ −log p of the record's answers. */
export const lossBlock = { name: "loss", columns: 1 } as const;

/** Most bytes of gradients, in float64, that are summed at a time, and half as many of one run of the graph. */
const runBytesMax = 128 * 1024 * 1024;
/** Adapters that stay open, those asked for last; no fewer than a training has waypoints. */
export const adaptersMax = 16;

type Parts = { folder: string; tokenizer: Tokenizer; device: Device };
type Opened = { adapter: Adapter; gradients: Pick<Gradients, "of">; profile: Gradients["profile"] };

/** Gradients under adapters of one shape at a time, which share a graph on the device. */
export function createRecordGradients({ folder, tokenizer, device }: Parts) {
  let graph: { shape: string; gradients: Gradients } | null = null;
  const opened = new Map<Hex, Opened>();

  const openAnew = async (files: AdapterFiles): Promise<Opened> => {
    const found = await hashAdapter(files.folder);
    if (found !== files.hash)
      throw new AdapterError("adapter-mismatch", files.folder, `it hashes to ${found}, not ${files.hash}`);
    const adapter = await readAdapter(files.folder);
    const shape = shapeOf(adapter);
    if (graph?.shape === shape) {
      const { profile } = graph.gradients;
      return { adapter, gradients: graph.gradients.under(adapter), profile };
    }
    opened.clear();
    await graph?.gradients.close();
    graph = null;
    const gradients = await openGradients(folder, adapter, { kind: "full" }, { device });
    graph = { shape, gradients };
    return { adapter, gradients, profile: gradients.profile };
  };

  const open = async (files: AdapterFiles): Promise<Opened> => {
    const found = opened.get(files.hash) ?? (await openAnew(files));
    opened.delete(files.hash);
    opened.set(files.hash, found);
    if (opened.size > adaptersMax) opened.delete(opened.keys().next().value!);
    return found;
  };

  /** Gradients and losses summed over the examples of each group, in float64, by block; then projected to the shape. */
  const gradientsOf = async (
    files: AdapterFiles,
    groups: readonly Example[][],
    shape: ProjectionShape | null,
  ): Promise<Float32Array[][]> => {
    const { adapter, gradients } = await open(files);
    const blocks = blocksOf(adapter);
    const width = blocks.reduce((sum, { columns }) => sum + columns, 0);
    const perTurn = Math.max(1, Math.floor(runBytesMax / (8 * width)));
    const found: Float32Array[][] = [];
    for (let from = 0; from < groups.length; from += perTurn) {
      const sums = await sumOf(gradients, groups.slice(from, from + perTurn), blocks, perTurn);
      for (const vectors of sums) {
        const shaped = shape === null ? vectors : projectWide(vectors, shape);
        found.push(shaped.map((vector) => Float32Array.from(vector)));
      }
    }
    return found;
  };

  const lessonsOf = (record: TextRecord, tokensMax: number) =>
    examplesOf(record)
      .map(({ question, answer }) => promptedExample(tokenizer, { passages: [], question }, answer))
      .filter(({ tokenIds }) => tokenIds.length <= tokensMax);

  const ofRecords = ({ adapter, records, tokensMax, shape }: RecordsTask) =>
    gradientsOf(
      adapter,
      records.map((record) => lessonsOf(record, tokensMax)),
      shape,
    );

  return { open, gradientsOf, lessonsOf, ofRecords };
}

/** What a gradient graph is made for. */
function shapeOf({ isRankStabilized, modules }: Adapter): string {
  const sizes = [...modules].map(([name, { rank, alpha, inSize, outSize }]) => [
    ...[name, rank, alpha, inSize, outSize],
  ]);
  return JSON.stringify([isRankStabilized, sizes]);
}

/** Sums of each group by block, and its losses. Examples of all groups share runs of the graph, at most `perRun` in one. */
async function sumOf(
  gradients: Pick<Gradients, "of">,
  groups: readonly Example[][],
  blocks: Layout["blocks"],
  perRun: number,
): Promise<Float64Array[][]> {
  const sums = groups.map(() => [...blocks, lossBlock].map(({ columns }) => new Float64Array(columns)));
  const all = groups.flatMap((examples, group) => examples.map((example) => ({ example, group })));
  for (let from = 0; from < all.length; from += perRun) {
    const slice = all.slice(from, from + perRun);
    const found = await gradients.of(slice.map(({ example }) => example));
    found.forEach(({ factors, loss }, at) => {
      const group = sums[slice[at]!.group]!;
      for (const [block, { name }] of blocks.entries()) addInto(group[block]!, factors.get(name));
      group.at(-1)![0]! += loss;
    });
  }
  return sums;
}

function addInto(sum: Float64Array, values: Float32Array | undefined): void {
  invariant(values?.length === sum.length, "a gradient for each block");
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

/** Blocks of an adapter's gradient: A and B of each module, in the order of its file. */
export function blocksOf({ modules }: Adapter): Layout["blocks"] {
  return [...modules].flatMap(([name, { rank, inSize, outSize }]) => [
    { name: `${name}.a`, columns: rank * inSize },
    { name: `${name}.b`, columns: outSize * rank },
  ]);
}
