import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Hex } from "viem";
import { z } from "zod";
import { type Evaluation, evaluate } from "#factory/evaluate";
import { modelIdOf, type Package, packageTraining } from "#factory/package";
import { findBase, type Plan, planTraining, type Request, readRows, settingsOf } from "#factory/plan";
import { type Progress, runTraining, type Trained, writeWhole } from "#factory/training";
import type { Drizzle } from "#schema/database";
import { SnapshotPendingError } from "#schema/snapshot";
import { assertAccess } from "./access.ts";
import { type Publisher, publish } from "./publish.ts";

/** A training from its request to the registered model. `folder` holds all of it: what was done is not done again. */
export type Job = Publisher & {
  db: Drizzle;
  folder: string;
  baseFolder: string;
  /** Where adapters lie that fit into no payload, by their hash: ADAPTERS_FOLDER of engine and serving. */
  adaptersFolder: string;
  request: Request;
  ownerBps: number;
  pricePerCallWei: bigint;
  onPlan: (plan: Plan) => void;
  onProgress: (progress: Progress) => void;
  signal: AbortSignal;
};

export type TrainedModel = Result & { modelId: Hex; name: string; hasFiles: boolean };

/** Longest that records accepted before may take to be fetched and compared, in ms, and the time between two looks. */
const pendingMsMax = 300_000;
const lookMs = 500;

/** Largest payload, in bytes: what the development SRS holds, with room for the blob's encoding (31 of 32 bytes). */
export const payloadBytesMax = 1_000_000;

/**
 * Plan, train, evaluate, publish. After a kill at any point the same request goes on and ends in the same model.
 * @throws AccessMissingError and what the steps throw: each says what to do.
 */
export async function trainAdapter(job: Job): Promise<TrainedModel> {
  const { chain, db, owner, request, folder, baseFolder } = job;
  await findBase(db, request.baseModelId, request.baseArtifactHash);
  await assertAccess(chain, owner.address, request.datanetIds);
  await mkdir(folder, { recursive: true });
  const plan = await planWhenFetched(job);
  job.onPlan(plan);
  const rows = await readRows(db, plan, baseFolder);
  const result = (await readResult(folder)) ?? (await learn(job, plan, rows));
  const packed = await packageTraining(plan, result, rows.datanetOf, payloadBytesMax);
  await leaveLargeFiles(job.adaptersFolder, result, packed);
  const { name } = settingsOf(plan);
  const artifactHash = result.adapterHash;
  const modelId = modelIdOf(owner.address.toLowerCase() as Hex, artifactHash, name);
  await register(job, packed, { modelId, name, artifactHash });
  return { ...result, modelId, name, hasFiles: packed.hasFiles };
}

/** Files that fit into no payload, for engine and serving of this machine. */
async function leaveLargeFiles(adaptersFolder: string, of: Result, packed: Package): Promise<void> {
  const folder = join(adaptersFolder, of.adapterHash);
  if (!packed.hasFiles) await cp(of.adapterFolder, folder, { recursive: true });
  if (packed.hasWaypoints) return;
  for (const waypoint of of.waypoints)
    await cp(waypoint.folder, join(folder, "waypoints", `${waypoint.step}`), { recursive: true });
}

/** Records that were accepted a moment ago are still being fetched and compared with earlier ones. */
async function planWhenFetched({ db, chain, folder, request, signal }: Job): Promise<Plan> {
  for (const deadline = Date.now() + pendingMsMax; ; await sleep(lookMs)) {
    try {
      return await planTraining({ db, client: chain.client }, folder, request);
    } catch (error) {
      if (!(error instanceof SnapshotPendingError) || Date.now() > deadline) throw error;
      signal.throwIfAborted();
    }
  }
}

type Rows = Awaited<ReturnType<typeof readRows>>;
type Result = Trained & { evaluation: Evaluation };

async function learn({ folder, baseFolder, ...job }: Job, plan: Plan, rows: Rows): Promise<Result> {
  const settings = settingsOf(plan);
  const trained = await runTraining({
    ...{ folder, baseFolder, settings, base: plan.baseArtifactHash },
    ...{ train: rows.train, gate: rows.gate, onProgress: job.onProgress, signal: job.signal },
  });
  const folders = { base: baseFolder, adapter: trained.adapterFolder };
  const evaluation = await evaluate(folders, settings.targetModules, rows.gate);
  const result = { ...trained, evaluation };
  await writeWhole(join(folder, "result.json"), JSON.stringify(result));
  return result;
}

type Identity = { modelId: Hex; name: string; artifactHash: Hex };

async function register(job: Job, packed: Package, identity: Identity): Promise<void> {
  const { folder, ownerBps, pricePerCallWei, request } = job;
  await publish(job, folder, {
    ...identity,
    ...{ baseModelId: request.baseModelId, ownerBps, pricePerCallWei, package: packed },
  });
}

const hash = z.custom<Hex>((value) => /^0x[0-9a-f]{64}$/.test(String(value)));
const resultFile = z.strictObject({
  adapterFolder: z.string(),
  adapterHash: hash,
  waypoints: z.array(z.strictObject({ step: z.int(), folder: z.string(), adapterHash: hash })),
  steps: z.int(),
  loss: z.number(),
  evaluation: z.strictObject({
    examples: z.int(),
    tokens: z.int(),
    baseLoss: z.number(),
    adapterLoss: z.number(),
  }),
});

async function readResult(folder: string): Promise<Result | null> {
  const text = await readFile(join(folder, "result.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return null;
  const found = resultFile.parse(JSON.parse(text));
  // The folder may have been moved.
  const waypoints = found.waypoints.map((one) => ({
    ...one,
    folder: join(folder, "waypoints", `${one.step}`),
  }));
  return { ...found, adapterFolder: join(folder, "adapter"), waypoints };
}
