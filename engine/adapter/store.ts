import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { asc, eq } from "drizzle-orm";
import type { Hex } from "viem";
import { learningRate, type Schedule } from "#runtime/index";
import type { Drizzle } from "#schema/database";
import { invariant } from "#schema/errors";
import type { FoundBy } from "#schema/estimators";
import { chunk, trainingRecord } from "#schema/offchain/index";
import type * as manifest from "#settlement/blob/training/manifest";
import * as settings from "#settlement/blob/training/settings";
import { askDevice } from "../device/ask-device.ts";
import type { GradientDevice } from "../device/device.ts";
import { fold } from "../duplicates/shingles.ts";
import { buildStore, StoreMismatchError } from "../gradient-store/build.ts";
import { entryBytes, type Layout } from "../gradient-store/layout.ts";
import {
  type Description,
  type Profile,
  readManifest as readStoreManifest,
  StoreDamagedError,
} from "../gradient-store/manifest.ts";
import type { Expected } from "../gradient-store/store.ts";
import type { ProjectionShape } from "../influence/projection.ts";
import { textSimilarity } from "../influence/text-similarity.ts";
import { type Pool, PoolTaskError } from "../pool.ts";
import { type AdapterFiles, type AdapterPlaces, adapterFiles, folderOf, waypointFiles } from "./files.ts";
import { packedWidth } from "./fisher.ts";
import {
  estimatorOf,
  type InfluenceMethod,
  needsWaypoints,
  type StoreMethod,
  storeMethodOf,
  WaypointsMissingError,
} from "./methods.ts";
import { lossBlock, type TextRecord } from "./record-gradients.ts";
import { encodingOf, shaped, shapeOf } from "./store-shape.ts";
import type { StoredState, StoreName } from "./tasks.ts";

/** A training record as it was learned. */
export type StoreRecord = TextRecord & { chunkId: Hex };

/** What is needed to answer for an adapter's records on this machine. */
export type OpenedAdapter = {
  files: AdapterFiles;
  /** How gradients are kept, null as they are. */
  shape: ProjectionShape | null;
  /** The adapter at each state its records are measured at: as it ended, or its waypoints. */
  states: readonly AdapterFiles[];
  store: StoreName;
  tokensMax: number;
  storeMethod: StoreMethod;
  /** What stands beside each influence. */
  estimator: FoundBy;
  /** In the order of the store. */
  records: readonly StoreRecord[];
  /** How alike a text is to each record; null where the method compares no texts. */
  similarities: ((text: string) => Float64Array) | null;
  /** Folders of the store, and how many records each has when it is whole. */
  folders: ReadonlyMap<string, number>;
  /** Throw the store away, so that who opens it next makes it anew. */
  discard: () => Promise<void>;
};

export type StoreParts = {
  db: Drizzle;
  pool: Pool;
  /** What computes the gradients of records; null or not given: the pool does. */
  device?: GradientDevice | null;
  places: AdapterPlaces;
  method: InfluenceMethod;
  /** Of the engine's method: what another one stored is not taken. */
  methodHash: Hex;
  /** Most records that `efim-dual` solves for, above which it is `efim-primal`; default `dualRecordsMax`. */
  dualMax?: number;
  /** Most bytes of a store's gradients; default `storeBytesMax`. */
  bytesMax?: number;
};

/** Bytes of one shard, about: what a killed build loses at most. */
const shardBytes = 4 * 1024 ** 2;
const shardRecordsMax = 64;

/** Adapters whose records stay in memory, the ones asked for last. */
const openedMax = 16;

export type BuildProgress = { recordsDone: number; recordsTotal: number };

/** Who is told of a build, and what ends it: between two shards, what is whole being kept. */
export type Opening = { onProgress?: (progress: BuildProgress) => void; signal: AbortSignal };

export type AdapterOpener = (of: manifest.Manifest, modelId: Hex, opening: Opening) => Promise<OpenedAdapter>;

/**
 * Make sure that an adapter's files and its store lie on this machine, whole: what is missing or damaged is made anew, from
 * its payload and its records' texts alone, to the same bytes on one execution profile. Goes on where a killed build
 * stopped. One build of a model's at a time: whoever asks meanwhile shares it, and fails with it where it is cancelled.
 * @throws the signal's reason, StoreTooLargeError, AdapterFilesMissingError, WaypointsMissingError; PoolTaskError with the runtime's code where
 * the records have no gradient.
 */
export function createAdapterOpener(parts: StoreParts): AdapterOpener {
  const building = new Map<Hex, Promise<OpenedAdapter>>();
  const opened = new Map<Hex, OpenedAdapter>();
  const open: AdapterOpener = async (of, modelId, opening) => {
    const known = opened.get(modelId);
    opened.delete(modelId);
    const found =
      known && (await isStill(parts, of, known)) ? known : await openAdapter(parts, of, modelId, opening);
    opened.set(modelId, found);
    if (opened.size > openedMax) opened.delete(opened.keys().next().value!);
    return found;
  };
  return (of, modelId, opening) => {
    const running = building.get(modelId);
    if (running !== undefined) return running;
    const started = open(of, modelId, opening).finally(() => building.delete(modelId));
    building.set(modelId, started);
    return started;
  };
}

/** Whether what was opened is there yet. Files that were swapped are written anew: the threads look at them again. */
async function isStill(
  { places, method }: StoreParts,
  of: manifest.Manifest,
  known: OpenedAdapter,
): Promise<boolean> {
  await adapterFiles(places, of);
  if (needsWaypoints(method)) await waypointFiles(places, of);
  return areWhole(known.folders, known.store.expected.profile);
}

async function openAdapter(
  parts: StoreParts,
  of: manifest.Manifest,
  modelId: Hex,
  opening: Opening,
): Promise<OpenedAdapter> {
  const { pool, places, method, methodHash, device = null } = parts;
  const { signal } = opening;
  const files = await adapterFiles(places, of);
  const loaded = await pool.run({ kind: "load-adapter", adapter: files, optimizerPath: null });
  const read = settings.decode(of.settings);
  invariant(read.ok, "settings of a kept payload were decoded before");
  const { rowTokens: tokensMax, damping, schedule } = read.value;
  const records = await readRecords(parts.db, modelId);
  // By model: whoever registers the same files anew says that other records taught them.
  const modelFolder = join(folderOf(places, of.adapterHash), modelId);
  const folder = join(modelFolder, methodFolder(methodHash));
  const storeMethod = storeMethodOf(method, of.trainRows.length, parts.dualMax);
  const states = await statesOf(parts, of, files, { schedule, storeMethod });
  const solved = join(folder, storeMethod);
  const sizes = { blocks: loaded.blocks, records: of.trainRows.length, states: states.length };
  const shape = shapeOf({ adapterHash: of.adapterHash, method: storeMethod, ...sizes }, parts.bytesMax);
  const blocks = shaped(loaded.blocks, shape);
  const where = device?.name ?? "cpu";
  const { profile } = await pool.run({ kind: "describe-gradients", adapter: files, device: where });
  const expected = { adapterHash: of.adapterHash, methodHash, profile };
  const gradients = describeStore(expected, "gradients", [...blocks, lossBlock], encodingOf(storeMethod));
  const build = async () => {
    const building = { pool, device, folder, tokensMax, shape, ...opening };
    const build = () => buildStates(building, states, gradients, records);
    const from = await (device === null ? build() : device.alone(build));
    if (storeMethod === "efim-primal")
      return buildFisher(pool, { from: from[0]!.folder, to: solved, damping, of: gradients, signal });
    signal.throwIfAborted();
    const description = describeStates(expected, blocks, states);
    await pool.run({ kind: "solve", from, to: solved, description, method: storeMethod, damping });
  };
  const isPrimal = storeMethod === "efim-primal";
  // In primal form the gradients themselves are multiplied; what is solved is the Fisher information.
  const store = isPrimal
    ? { folder: join(folder, states[0]!.name), expected, fisher: solved }
    : { folder: solved, expected, fisher: null };
  const folders = new Map([[store.folder, records.length]]);
  if (isPrimal) folders.set(solved, blocks.length);
  if (!(await areWhole(folders, profile))) {
    await removeOthers(modelFolder, folder);
    await rebuildIfDamaged(build, folder);
  }
  const discard = () => rm(solved, { recursive: true, force: true });
  const similarities = method === "hybrid" ? similaritiesTo(records) : null;
  return {
    ...{ files, shape, states: states.map(({ adapter }) => adapter), store, tokensMax },
    ...{ storeMethod, estimator: estimatorOf(method, storeMethod), records, similarities, folders, discard },
  };
}

function similaritiesTo(records: readonly TextRecord[]): (text: string) => Float64Array {
  const words = (text: string) => fold(text).split(" ");
  const similarity = textSimilarity(records.map(({ source, text }) => words(`${source} ${text}`)));
  return (text) => similarity(words(text));
}

/** The adapter at one state, and what led there. Gradients of a state lie in the folder `name`. */
type State = {
  name: string;
  adapter: AdapterFiles;
  learningRate: number;
  optimizer: StoredState["optimizer"];
};

/** The states a method looks at. @throws WaypointsMissingError */
async function statesOf(
  { places, method }: StoreParts,
  of: manifest.Manifest,
  files: AdapterFiles,
  { schedule, storeMethod }: { schedule: Schedule; storeMethod: StoreMethod },
): Promise<State[]> {
  const name = encodingOf(storeMethod) === "int8" ? "gradients-int8" : "gradients";
  if (!needsWaypoints(method)) return [{ name, adapter: files, learningRate: 0, optimizer: null }];
  if (of.waypoints.length === 0) throw new WaypointsMissingError(of.adapterHash, method);
  const found = await waypointFiles(places, of);
  return found.map(({ step, adapter, optimizerPath }) => ({
    ...{ name: `gradients-${step}`, adapter },
    // Of the update that led there; steps count from 0.
    learningRate: learningRate(schedule, step - 1),
    optimizer: method === "less" ? { path: optimizerPath, steps: step } : null,
  }));
}

/** Name of the folder of a model's stores. */
export function methodFolder(methodHash: Hex): string {
  return `method-${methodHash.slice(2, 18)}`;
}

/** Stores of earlier methods: nobody opens them again. */
async function removeOthers(modelFolder: string, folder: string): Promise<void> {
  const names = await readdir(modelFolder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const others = names.map((name) => join(modelFolder, name)).filter((path) => path !== folder);
  await Promise.all(others.map((path) => rm(path, { recursive: true, force: true })));
}

/** A store of another layout, or with a changed byte, is no one's to mend: it is made anew, once. */
async function rebuildIfDamaged(build: () => Promise<void>, folder: string): Promise<void> {
  try {
    await build();
  } catch (error) {
    if (!isDamage(error)) throw error;
    await rm(folder, { recursive: true, force: true });
    await build();
  }
}

/** Here, or told by a thread, which solves. */
function isDamage(error: unknown): boolean {
  if (error instanceof PoolTaskError)
    return error.code === "store-damaged" || error.code === "store-mismatch";
  return error instanceof StoreDamagedError || error instanceof StoreMismatchError;
}

type Building = {
  pool: Pool;
  device: GradientDevice | null;
  folder: string;
  tokensMax: number;
  shape: ProjectionShape | null;
} & Opening;

type Fisher = { from: string; to: string; damping: number; of: Description; signal: AbortSignal };

/** The factor of each LoRA matrix's Fisher information, a record and a shard each: a killed build loses one of them. */
async function buildFisher(pool: Pool, { from, to, damping, of, signal }: Fisher): Promise<void> {
  const blocks = of.layout.blocks.filter(({ name }) => name !== lossBlock.name);
  const width = packedWidth(Math.max(...blocks.map(({ columns }) => columns)));
  await buildStore({
    folder: to,
    signal,
    description: {
      ...{ ...of, content: "fisher", recordsPerShard: 1 },
      layout: { encoding: "float32", blocks: [{ name: "factor", columns: width }] },
    },
    recordIds: blocks.map(({ name }) => name),
    gradientsOf: ([block]) =>
      pool
        .run({ kind: "fisher", from, block: block!, damping, width })
        .then(({ factor: packed }) => [[packed]]),
  });
}

/** Gradients of all records at each state, one store each. Progress counts the records of all states. */
async function buildStates(
  { pool, device, folder, tokensMax, shape, onProgress, signal }: Building,
  states: readonly State[],
  description: Description,
  records: readonly StoreRecord[],
): Promise<StoredState[]> {
  const byId = new Map<string, StoreRecord>(records.map((record) => [record.chunkId, record]));
  const stored: StoredState[] = [];
  for (const [at, { name, adapter, ...state }] of states.entries()) {
    const gradientsOf = async (ids: readonly string[]) => {
      const texts = ids.map((id) => byId.get(id)!).map(({ source, text }) => ({ source, text }));
      return askDevice(pool, device, { adapter, records: texts, tokensMax, shape });
    };
    await buildStore({
      folder: join(folder, name),
      ...{ description, recordIds: records.map(({ chunkId }) => chunkId), gradientsOf, signal },
      onProgress: ({ recordsDone }) =>
        onProgress?.({
          recordsDone: at * records.length + recordsDone,
          recordsTotal: states.length * records.length,
        }),
    });
    stored.push({ folder: join(folder, name), ...state });
  }
  return stored;
}

/** Of what a method keeps, the blocks of all states one behind another. */
function describeStates(of: Expected, blocks: Layout["blocks"], states: readonly State[]): Description {
  const prefix = (at: number) => (states.length === 1 ? "" : `${at} `);
  const all = states.flatMap((_, at) =>
    blocks.map(({ name, columns }) => ({ name: `${prefix(at)}${name}`, columns })),
  );
  return describeStore(of, "solved", all);
}

function describeStore(
  of: Expected,
  content: Description["content"],
  blocks: Layout["blocks"],
  encoding: Layout["encoding"] = "float32",
): Description {
  const recordBytes = entryBytes[encoding] * blocks.reduce((sum, { columns }) => sum + columns, 0);
  return {
    ...of,
    content,
    layout: { encoding, blocks: [...blocks] },
    recordsPerShard: Math.max(1, Math.min(shardRecordsMax, Math.floor(shardBytes / recordBytes))),
  };
}

/** Texts of an adapter's records, in training order. */
async function readRecords(db: Drizzle, modelId: Hex): Promise<StoreRecord[]> {
  return db
    .select({ chunkId: trainingRecord.chunkId, source: chunk.source, text: chunk.text })
    .from(trainingRecord)
    .innerJoin(chunk, eq(chunk.id, trainingRecord.chunkId))
    .where(eq(trainingRecord.modelId, modelId))
    .orderBy(asc(trainingRecord.index));
}

async function areWhole(folders: OpenedAdapter["folders"], profile: Profile | undefined): Promise<boolean> {
  const found = await Promise.all([...folders].map(([folder, records]) => isWhole(folder, records, profile)));
  return found.every((one) => one);
}

/** Whether the manifest names all records, of this profile; its bytes are checked by whoever opens it. */
async function isWhole(folder: string, records: number, profile: Profile | undefined): Promise<boolean> {
  try {
    const found = await readStoreManifest(folder);
    if (found === null || !isDeepStrictEqual(found.profile, profile)) return false;
    return found.shards.reduce((sum, shard) => sum + shard.records, 0) === records;
  } catch (error) {
    if (error instanceof StoreDamagedError) return false;
    throw error;
  }
}
