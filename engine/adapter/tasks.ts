import type { Hex } from "viem";
import {
  type Adapter,
  AdapterError,
  type Example,
  type Gradients,
  hashAdapter,
  type Model,
  openGradients,
  promptedExample,
  readAdapter,
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
import type { AdapterFiles } from "./files.ts";
import { type StoreMethod, solveBlock } from "./methods.ts";
import { readBlocks } from "./read-blocks.ts";

/** What a thread is asked about an adapter. Records longer than `tokensMax` tokens teach nothing and have no gradient. */
export type AdapterTask =
  | { kind: "load-adapter"; adapter: AdapterFiles }
  | { kind: "gradients"; adapter: AdapterFiles; records: readonly TextRecord[]; tokensMax: number }
  | {
      kind: "solve";
      from: string;
      to: string;
      description: Description;
      method: StoreMethod;
      damping: number;
    }
  | { kind: "record-scores"; adapter: AdapterFiles; store: StoreName; query: Query; tokensMax: number };

export type TextRecord = { source: string; text: string };
export type StoreName = { folder: string; engineVersion: number };

/** What is asked of a store: an answer as it was given, or a record that was held out. */
export type Query =
  | { question: string; passages: readonly string[]; answerTokenIds: readonly number[] }
  | TextRecord;

export type AdapterResult =
  | { ok: true; kind: "load-adapter"; blocks: Layout["blocks"] }
  /** A vector per block for each record, in the order of the layout. */
  | { ok: true; kind: "gradients"; gradients: Float32Array[][] }
  | { ok: true; kind: "solve" }
  /** Of all records, in the order of the store. */
  | { ok: true; kind: "record-scores"; scores: Float64Array };

type Parts = { folder: string; model: Model; tokenizer: Tokenizer };

/** Most float32 bytes of gradients that one run of the graph may give. */
const runBytesMax = 128 * 1024 * 1024;
/** Adapters a thread keeps loaded, gradients and store of the last one. */
const adaptersMax = 16;

/** Everything a thread does with adapters. It holds the last adapter's gradient graph and store; others are opened anew. */
export function createAdapterTasks({ folder, model, tokenizer }: Parts) {
  const { open, gradientsOf } = createGradients(folder);
  let store: { key: string; store: Store } | null = null;

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

  const openStored = async ({ folder: storeFolder, engineVersion }: StoreName, adapterHash: Hex) => {
    const key = `${storeFolder} ${engineVersion}`;
    if (store?.key !== key)
      store = { key, store: await openStore(storeFolder, { adapterHash, engineVersion }) };
    return store.store;
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
        return { ok: true, kind: task.kind, blocks: blocksOf((await open(task.adapter)).adapter) };
      }
      if (task.kind === "gradients") {
        const groups = task.records.map((record) => lessonsOf(record, task.tokensMax));
        return { ok: true, kind: task.kind, gradients: await gradientsOf(task.adapter, groups) };
      }
      if (task.kind === "solve") {
        await solve(task);
        return { ok: true, kind: task.kind };
      }
      const examples = examplesOfQuery(task.query, task.tokensMax);
      const [query] = await gradientsOf(task.adapter, [examples]);
      const { scores } = await openStored(task.store, task.adapter.hash);
      return { ok: true, kind: task.kind, scores: scores(query!) };
    },
  };
}

/** Gradients of one adapter at a time: the last one asked for stays open. */
function createGradients(folder: string) {
  let opened: { hash: Hex; adapter: Adapter; gradients: Gradients } | null = null;

  const open = async (files: AdapterFiles) => {
    if (opened?.hash === files.hash) return opened;
    const found = await hashAdapter(files.folder);
    if (found !== files.hash)
      throw new AdapterError("adapter-mismatch", files.folder, `it hashes to ${found}, not ${files.hash}`);
    opened = null;
    const adapter = await readAdapter(files.folder);
    opened = { hash: files.hash, adapter, gradients: await openGradients(folder, adapter, { kind: "full" }) };
    return opened;
  };

  /** Summed over the examples of each group, in float64, by block. Examples of all groups share runs of the graph. */
  const gradientsOf = async (
    files: AdapterFiles,
    groups: readonly Example[][],
  ): Promise<Float32Array[][]> => {
    const { adapter, gradients } = await open(files);
    const blocks = blocksOf(adapter);
    const sums = groups.map(() => blocks.map(({ columns }) => new Float64Array(columns)));
    const width = blocks.reduce((sum, { columns }) => sum + columns, 0);
    const perRun = Math.max(1, Math.floor(runBytesMax / (4 * width)));
    const all = groups.flatMap((examples, group) => examples.map((example) => ({ example, group })));
    for (let from = 0; from < all.length; from += perRun) {
      const slice = all.slice(from, from + perRun);
      const found = await gradients.of(slice.map(({ example }) => example));
      found.forEach(({ factors }, at) => {
        const group = sums[slice[at]!.group]!;
        for (const [block, { name }] of blocks.entries()) addInto(group[block]!, factors.get(name));
      });
    }
    return sums.map((vectors) => vectors.map((sum) => Float32Array.from(sum)));
  };

  return { open, gradientsOf };
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

/** A store of gradients → the store of what its method keeps of them. Goes on after a kill. */
async function solve({ from, to, description, method, damping }: Extract<AdapterTask, { kind: "solve" }>) {
  const { recordIds, blocks } = await readBlocks(from);
  const solved = blocks.map((block) => {
    const { rows, columns, values } = solveBlock(method, block, damping);
    return matrix(rows, columns, Float32Array.from(values));
  });
  const positionOf = new Map(recordIds.map((id, position) => [id, position]));
  await buildStore({
    folder: to,
    description,
    recordIds,
    gradientsOf: async (ids) =>
      ids.map((id) => solved.map((block) => Float32Array.from(row(block, positionOf.get(id)!)))),
  });
}
