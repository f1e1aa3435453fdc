import {
  AdapterError,
  type Device,
  type Example,
  type Model,
  type OptimizerMeans,
  readOptimizerMeans,
  renderPrompt,
  type Tokenizer,
} from "#runtime/index";
import { invariant } from "#schema/errors";
import { buildStore } from "../gradient-store/build.ts";
import type { Layout } from "../gradient-store/layout.ts";
import { type Description, type Profile, profileOf } from "../gradient-store/manifest.ts";
import { type Expected, openStore, type Store } from "../gradient-store/store.ts";
import { matrix, row } from "../influence/matrix.ts";
import type { ProjectionShape } from "../influence/projection.ts";
import type { AdamState } from "../influence/trajectory.ts";
import type { AdapterFiles } from "./files.ts";
import { packedFactor, primalScoresOf } from "./fisher.ts";
import type { StoreMethod } from "./methods.ts";
import { readBlocks } from "./read-blocks.ts";
import {
  adaptersMax,
  blocksOf,
  createRecordGradients,
  type RecordGradients,
  type RecordsTask,
  type TextRecord,
} from "./record-gradients.ts";
import { queryOf, type RecordState, solve } from "./solve.ts";

/** What a thread is asked about an adapter. */
export type AdapterTask =
  | { kind: "load-adapter"; adapter: AdapterFiles; optimizerPath: string | null }
  /** How the gradients of its records are computed on a device, which need not be here. */
  | { kind: "describe-gradients"; adapter: AdapterFiles; device: Device }
  | ({ kind: "gradients" } & RecordsTask)
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

/** `fisher` is the folder of the factors that solve a query first, null where the rows are solved. */
export type StoreName = { folder: string; expected: Expected; fisher: string | null };

/** What is asked of a store: an answer as it was given, or a record that was held out. */
export type Query =
  | { question: string; passages: readonly string[]; answerTokenIds: readonly number[] }
  | TextRecord;

export type AdapterResult =
  | { ok: true; kind: "load-adapter"; blocks: Layout["blocks"] }
  | { ok: true; kind: "describe-gradients"; profile: Profile }
  | { ok: true; kind: "gradients"; gradients: RecordGradients }
  | { ok: true; kind: "solve" }
  /** `packedFactor` of the block. */
  | { ok: true; kind: "fisher"; factor: Float32Array }
  /** Of all records, in the order of the store. */
  | { ok: true; kind: "record-scores"; scores: Float64Array };

type Parts = { folder: string; model: Model; tokenizer: Tokenizer };

/** Everything a thread does with adapters. It holds one gradient graph, of the last shape of adapters, and the last store. */
export function createAdapterTasks({ folder, model, tokenizer }: Parts) {
  const { open, gradientsOf, lessonsOf, ofRecords } = createRecordGradients({
    ...{ folder, tokenizer, device: "cpu" },
  });
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
      if (task.kind === "describe-gradients") {
        const { profile } = await open(task.adapter);
        return { ok: true, kind: task.kind, profile: profileOf(await profile(task.device)) };
      }
      if (task.kind === "gradients") return { ok: true, kind: task.kind, gradients: await ofRecords(task) };
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
      const scores = await openStored(task.store);
      return { ok: true, kind: task.kind, scores: scores(queryOf(task.method, states)) };
    },
  };
}

/** Opens the store that is asked for, and holds the last. */
function createStores() {
  let store: { key: string; scores: Store["scores"] } | null = null;
  return async ({ folder: storeFolder, expected, fisher }: StoreName) => {
    const key = `${storeFolder} ${JSON.stringify(expected)}`;
    if (store?.key === key) return store.scores;
    store = null;
    const { manifest, scores } = await openStore(storeFolder, expected);
    store = {
      key,
      scores: fisher === null ? scores : await primalScoresOf(fisher, expected, manifest, scores),
    };
    return store.scores;
  };
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
