import type { Hex } from "viem";
import {
  type Adapter,
  AdapterError,
  type Example,
  type Gradients,
  hashAdapter,
  type Model,
  type OptimizerMeans,
  openGradients,
  promptedExample,
  readAdapter,
  readOptimizerMeans,
  renderPrompt,
  type Tokenizer,
} from "#runtime/index";
import { invariant } from "#schema/errors";
import { examplesOf } from "#settlement/blob/training/examples";
import { buildStore } from "../gradient-store/build.ts";
import type { Layout } from "../gradient-store/layout.ts";
import type { Description } from "../gradient-store/manifest.ts";
import { openStore, type Store } from "../gradient-store/store.ts";
import { matrix, row } from "../influence/matrix.ts";
import { type ProjectionShape, projectWide } from "../influence/projection.ts";
import type { AdamState } from "../influence/trajectory.ts";
import type { AdapterFiles } from "./files.ts";
import { packedFactor, primalScoresOf } from "./fisher.ts";
import type { StoreMethod } from "./methods.ts";
import { readBlocks } from "./read-blocks.ts";
import { queryOf, type RecordState, solve } from "./solve.ts";

/** What a thread is asked about an adapter. Records longer than `tokensMax` tokens teach nothing and have no gradient. */
export type AdapterTask =
  | { kind: "load-adapter"; adapter: AdapterFiles; optimizerPath: string | null }
  | {
      kind: "gradients";
      adapter: AdapterFiles;
      records: readonly TextRecord[];
      tokensMax: number;
      shape: ProjectionShape | null;
    }
  | {
      kind: "solve";
      from: readonly StoredState[];
      to: string;
      description: Description;
      method: Exclude<StoreMethod, "efim-primal">;
      damping: number;
    }
  | { kind: "fisher"; from: string; block: string; damping: number; width: number }
  | {
      kind: "record-scores";
      /** One for each state of the store. */
      adapters: readonly AdapterFiles[];
      method: StoreMethod;
      store: StoreName;
      adapterHash: Hex;
      query: Query;
      tokensMax: number;
      shape: ProjectionShape | null;
    };

/** Where the gradients of all records lie that one state of a training has; the last block is the losses. */
export type StoredState = {
  folder: string;
  learningRate: number;
  /** AdamW's means after `steps` updates; null where the method asks for none. */
  optimizer: { path: string; steps: number } | null;
};

/** Behind an adapter's blocks: Σ −log p of the record's answers. */
export const lossBlock = { name: "loss", columns: 1 } as const;

export type TextRecord = { source: string; text: string };
/** `fisher` is the folder of the factors that solve a query first, null where the rows are solved. */
export type StoreName = { folder: string; methodHash: Hex; fisher: string | null };

/** What is asked of a store: an answer as it was given, or a record that was held out. */
export type Query =
  | { question: string; passages: readonly string[]; answerTokenIds: readonly number[] }
  | TextRecord;

export type AdapterResult =
  | { ok: true; kind: "load-adapter"; blocks: Layout["blocks"] }
  /** For each record a vector per block, in the order of the layout, and one of its loss. */
  | { ok: true; kind: "gradients"; gradients: Float32Array[][] }
  | { ok: true; kind: "solve" }
  /** `packedFactor` of the block. */
  | { ok: true; kind: "fisher"; factor: Float32Array }
  /** Of all records, in the order of the store. */
  | { ok: true; kind: "record-scores"; scores: Float64Array };

type Parts = { folder: string; model: Model; tokenizer: Tokenizer };

/** Most bytes of gradients, in float64, that are summed at a time, and half as many of one run of the graph. */
const runBytesMax = 128 * 1024 * 1024;
/** Adapters a thread keeps loaded, for answers and for gradients; no fewer than a training has waypoints. */
const adaptersMax = 16;

/** Everything a thread does with adapters. It holds one gradient graph, of the last shape of adapters, and the last store. */
export function createAdapterTasks({ folder, model, tokenizer }: Parts) {
  const { open, gradientsOf } = createGradients(folder);
  const openStored = createStores();

  /** Name under which the adapter can be asked. @throws AdapterError where its files are others than the chain names. */
  const load = async ({ hash, folder: adapterFolder }: AdapterFiles): Promise<string> => {
    const loaded = model.adapters();
    if (loaded.some(({ name }) => name === hash)) return hash;
    if (loaded.length >= adaptersMax) model.unloadAdapter(loaded[0]!.name);
    const { hash: found } = await model.loadAdapter(hash, adapterFolder);
    if (found !== hash) {
      model.unloadAdapter(hash);
      throw new AdapterError("adapter-mismatch", adapterFolder, `it hashes to ${found}, not ${hash}`);
    }
    return hash;
  };

  const lessonsOf = (record: TextRecord, tokensMax: number) =>
    examplesOf(record)
      .map(({ question, answer }) => promptedExample(tokenizer, { passages: [], question }, answer))
      .filter(({ tokenIds }) => tokenIds.length <= tokensMax);

  const examplesOfQuery = (query: Query, tokensMax: number): Example[] => {
    if (!("question" in query)) return lessonsOf(query, tokensMax);
    const { passages, question, answerTokenIds } = query;
    const prompt = tokenizer.encode(renderPrompt({ passages, question }));
    return [{ tokenIds: [...prompt, ...answerTokenIds], answerFrom: prompt.length }];
  };

  return {
    load,
    run: async (task: AdapterTask): Promise<AdapterResult> => {
      if (task.kind === "load-adapter") {
        await load(task.adapter);
        const blocks = blocksOf((await open(task.adapter)).adapter);
        if (task.optimizerPath !== null) await readMeans(task.optimizerPath, blocks);
        return { ok: true, kind: task.kind, blocks };
      }
      if (task.kind === "gradients") {
        const groups = task.records.map((record) => lessonsOf(record, task.tokensMax));
        return { ok: true, kind: task.kind, gradients: await gradientsOf(task.adapter, groups, task.shape) };
      }
      if (task.kind === "solve") {
        await solveStore(task);
        return { ok: true, kind: task.kind };
      }
      if (task.kind === "fisher") {
        const { from, block, damping, width } = task;
        return { ok: true, kind: task.kind, factor: await packedFactor(from, block, damping, width) };
      }
      const examples = examplesOfQuery(task.query, task.tokensMax);
      const states: Float32Array[][] = [];
      for (const adapter of task.adapters) {
        const [found] = await gradientsOf(adapter, [examples], task.shape);
        states.push(found!.slice(0, -1));
      }
      const scores = await openStored(task.store, task.adapterHash);
      return { ok: true, kind: task.kind, scores: scores(queryOf(task.method, states)) };
    },
  };
}

/** Opens the store that is asked for, and holds the last. */
function createStores() {
  let store: { key: string; scores: Store["scores"] } | null = null;
  return async ({ folder: storeFolder, methodHash, fisher }: StoreName, adapterHash: Hex) => {
    const key = `${storeFolder} ${methodHash}`;
    if (store?.key === key) return store.scores;
    store = null;
    const expected = { adapterHash, methodHash };
    const { manifest, scores } = await openStore(storeFolder, expected);
    store = {
      key,
      scores: fisher === null ? scores : await primalScoresOf(fisher, expected, manifest, scores),
    };
    return store.scores;
  };
}

type Opened = { adapter: Adapter; gradients: Pick<Gradients, "of"> };

/** Gradients under adapters of one shape at a time, which share a graph. */
function createGradients(folder: string) {
  let graph: { shape: string; gradients: Gradients } | null = null;
  const opened = new Map<Hex, Opened>();

  const openAnew = async (files: AdapterFiles): Promise<Opened> => {
    const found = await hashAdapter(files.folder);
    if (found !== files.hash)
      throw new AdapterError("adapter-mismatch", files.folder, `it hashes to ${found}, not ${files.hash}`);
    const adapter = await readAdapter(files.folder);
    const shape = shapeOf(adapter);
    if (graph?.shape === shape) return { adapter, gradients: graph.gradients.under(adapter) };
    opened.clear();
    await graph?.gradients.close();
    graph = null;
    const gradients = await openGradients(folder, adapter, { kind: "full" });
    graph = { shape, gradients };
    return { adapter, gradients };
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

  return { open, gradientsOf };
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
function blocksOf({ modules }: Adapter): Layout["blocks"] {
  return [...modules].flatMap(([name, { rank, inSize, outSize }]) => [
    { name: `${name}.a`, columns: rank * inSize },
    { name: `${name}.b`, columns: outSize * rank },
  ]);
}

/** Stores of gradients, one for each state → the store of what the method keeps of them. Goes on after a kill. */
async function solveStore(of: Extract<AdapterTask, { kind: "solve" }>): Promise<void> {
  const { from, to, description, method, damping } = of;
  const stored = await Promise.all(from.map(readState));
  const states = stored.map(({ state }) => state);
  const solved = solve(method, states, damping).map(({ rows, columns, values }) =>
    matrix(rows, columns, Float32Array.from(values)),
  );
  const { recordIds } = stored[0]!;
  const positionOf = new Map(recordIds.map((id, position) => [id, position]));
  await buildStore({
    folder: to,
    description,
    recordIds,
    gradientsOf: async (ids) =>
      ids.map((id) => solved.map((block) => Float32Array.from(row(block, positionOf.get(id)!)))),
  });
}

async function readState({ folder, learningRate, optimizer }: StoredState) {
  const { recordIds, names, blocks } = await readBlocks(folder);
  const gradients = blocks.slice(0, -1);
  const layout = gradients.map(({ columns }, at) => ({ name: names[at]!, columns }));
  const means = optimizer && (await readMeans(optimizer.path, layout));
  const moments = means && layout.map(({ name }) => momentsOf(means, name, optimizer.steps));
  const state: RecordState = { blocks: gradients, losses: blocks.at(-1)!.values, learningRate, moments };
  return { recordIds, state };
}

function readMeans(path: string, blocks: Layout["blocks"]): Promise<OptimizerMeans> {
  return readOptimizerMeans(path, new Map(blocks.map(({ name, columns }) => [name, columns])));
}

/** Of the update that would come next. */
function momentsOf(means: OptimizerMeans, name: string, steps: number): AdamState {
  const found = means.get(name);
  invariant(found, "means of each block were read");
  return { first: found.mean, second: found.square, step: steps + 1 };
}
