import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { type Hex, zeroHash } from "viem";
import { type TrainedModel, trainAdapter } from "#cli/train/adapter";
import type { Publisher } from "#cli/train/publish";
import type { Request } from "#factory/plan";
import type { Choice } from "#factory/settings";
import { hashArtifact } from "#runtime/index";
import { invariant } from "#schema/errors";
import { adapter, chunk } from "#schema/offchain/index";
import { devAccount } from "#schema/testing/stack";
import * as disclosures from "#settlement/blob/disclosure";
import { owner } from "../../indexer/test/life.ts";
import { readManifest } from "../adapter/files.ts";
import type { InfluenceMethod } from "../adapter/methods.ts";
import { scoreAdapterAnswer } from "../adapter/score.ts";
import { createAdapterOpener, type Opening } from "../adapter/store.ts";
import type { GradientDevice } from "../device/device.ts";
import { dualRecordsMax } from "../influence/efim.ts";
import { describeMethod } from "../method.ts";
import { openPool } from "../pool.ts";
import { eigendaKey, feeWei, modelFolder, type Pipeline } from "./pipeline.ts";

/** A training in this process from its plan to the published manifest; again in the same folder it goes on. */
export async function trainOn(pipeline: Pipeline, folder: string, choice: Choice): Promise<TrainedModel> {
  return trainAdapter({
    ...publisherOf(pipeline),
    db: pipeline.world.database.db,
    ...{ folder, adaptersFolder: join(folder, "large"), baseFolder: modelFolder },
    request: await requestOf(pipeline, choice),
    ...{ ownerBps: 5_000, pricePerCallWei: feeWei },
    onPlan: () => undefined,
    onProgress: () => undefined,
    signal: new AbortController().signal,
  });
}

/** A training on the first Datanet. */
export async function requestOf(pipeline: Pipeline, choice: Choice): Promise<Request> {
  const baseArtifactHash = await hashArtifact(modelFolder);
  return { baseModelId: pipeline.modelId, baseArtifactHash, datanetIds: [1n], choice };
}

/** Who registers adapters: the Datanet's owner. */
export function publisherOf({ world, disperser, environment }: Pipeline): Publisher {
  return {
    chain: { rpcUrl: world.rpcUrl, client: world.client as never, deployment: world.deployment as never },
    owner: devAccount(owner),
    ...{ disperserUrl: disperser.url, srsFolder: environment.SRS_FOLDER!, eigendaKey },
  };
}

type Elsewhere = { root?: string; device?: GradientDevice | null; bytesMax?: number; dualMax?: number };

/** An engine's threads over an empty folder, or one left by another, for a trained model. */
export async function openElsewhere(
  pipeline: Pipeline,
  trained: TrainedModel,
  method: InfluenceMethod,
  { root, device = null, ...limits }: Elsewhere = {},
) {
  const { db } = pipeline.world.database;
  const engineFolder = root ?? (await mkdtemp(join(tmpdir(), "tributary-elsewhere-")));
  const pool = await openPool({ folder: modelFolder, workers: 1, adaptableModules: ["q_proj", "v_proj"] });
  const places = { engineFolder, adaptersFolder: null };
  const dualMax = limits.dualMax ?? dualRecordsMax;
  const { hash: methodHash } = describeMethod(pool.profile, {
    estimator: "shapley",
    influenceMethod: method,
    dualMax,
    device: device?.name ?? "cpu",
  });
  const opener = createAdapterOpener({ db, pool, device, places, method, methodHash, ...limits });
  const [row] = await db.select().from(adapter).where(eq(adapter.modelId, trained.modelId));
  const of = await readManifest(db, row!.contentHash);
  const never = new AbortController().signal;
  const open = (given = of, opening: Opening = { signal: never }) => opener(given, trained.modelId, opening);
  const way = { estimator: "shapley", seed: async () => zeroHash } as const;
  return {
    root: engineFolder,
    folder: join(engineFolder, "adapters", trained.adapterHash),
    of,
    pool,
    open,
    score: async (disclosure: Hex) => {
      const disclosed = disclosures.decode(disclosure);
      invariant(disclosed.ok, "a kept disclosure decodes");
      const { question, answer, answerTokenIds, candidates } = disclosed.value;
      const context = candidates.filter(({ inContext }) => inContext);
      const chunks = await Promise.all(context.map(({ chunkId }) => readChunk(pipeline, chunkId)));
      const passages = chunks.map(({ id, text }) => ({ text, classId: id, similarityMicro: 0n }));
      const answered = { question, answer, answerTokenIds, passages };
      return scoreAdapterAnswer({ pool, signal: never }, await open(), answered, way);
    },
    [Symbol.asyncDispose]: async () => {
      await pool[Symbol.asyncDispose]();
      if (root === undefined) await rm(engineFolder, { recursive: true, force: true });
    },
  };
}

async function readChunk({ world }: Pipeline, id: Hex) {
  const [row] = await world.database.db.select().from(chunk).where(eq(chunk.id, id));
  return row!;
}

/** Sentences of words drawn by a fixed generator: none resembles another. */
export function madeUpTexts(count: number): string[] {
  const words =
    "anchor barge cable dock eastern ferry gull harbour island jetty keel lantern mooring north oar pier quay rope sail tide umber vessel wharf yard".split(
      " ",
    );
  let state = 7;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return words[(state >>> 12) % words.length]!;
  };
  return Array.from({ length: count }, () => `The ${Array.from({ length: 14 }, next).join(" ")}.`);
}
