/** Thread that trains: the graphs block it. Started by training.ts, which says what `Lesson` holds. */

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import {
  type Adapter,
  initialAdapter,
  ModelRuntimeError,
  readModelFolder,
  train,
  type Waypoint,
  writeAdapter,
  writeOptimizerMeans,
} from "#runtime/index";
import { invariant } from "#schema/errors";
import { waypointSteps } from "#settlement/blob/training/settings";
import { type Lesson, optimizerFile, type WorkerMessage } from "./training.ts";

const port = parentPort;
invariant(port !== null, "a worker has a parent");
const lesson = workerData as Lesson;
const send = (message: WorkerMessage) => port.postMessage(message);

try {
  const { adapter, losses, finishReason, profile } = await learn(lesson);
  const profileJson = profile.canonicalJson;
  send({ kind: "ended", adapter, losses, isWhole: finishReason !== "aborted", profileJson });
} catch (error) {
  if (!(error instanceof ModelRuntimeError)) throw error;
  // Crossing threads would cost the error its fields.
  send({ kind: "failed", code: error.code, reason: error.message });
}

async function learn({
  folder,
  checkpointFolder,
  settings,
  train: examples,
  gate,
  stop,
  base,
  ...lesson
}: Lesson) {
  const model = await readModelFolder(folder);
  const { rank, alpha, isRankStabilized, targetModules, rowTokens, rowCount, runsPerStep } = settings;
  const seed = BigInt(settings.seed);
  const start: Adapter = initialAdapter(model.config, {
    baseModel: base,
    ...{ rank, alpha, isRankStabilized, targetModules, seed },
  });
  const aborting = new AbortController();
  const { stepsMax } = settings.schedule;
  return train(folder, start, {
    ...{ examples, evaluationExamples: gate, checkpointFolder, signal: aborting.signal, seed },
    ...{ schedule: settings.schedule, gradientNormMax: settings.gradientNormMax },
    ...{ rowTokens, rowCount, runsPerStep },
    stepsPerEvaluation: Math.max(1, Math.ceil(stepsMax / lesson.evaluations)),
    onStep: ({ step, loss }) => {
      // The thread reads no messages while it trains.
      if (Atomics.load(new Int32Array(stop), 0) !== 0) aborting.abort();
      send({ kind: "step", step: step + 1, stepsMax, loss });
    },
    waypointSteps: waypointSteps(settings),
    onWaypoint: (waypoint) => keep(lesson.waypointFolder, waypoint),
    onEvaluation: ({ step, loss }) => send({ kind: "evaluation", step, loss }),
  });
}

/** Whole or not at all, before the training goes on: what a checkpoint has passed is there. */
async function keep(waypointFolder: string, { step, adapter, means }: Waypoint): Promise<void> {
  const folder = join(waypointFolder, `${step}`);
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(waypointFolder, { recursive: true });
  await writeAdapter(partial, adapter);
  await writeOptimizerMeans(join(partial, optimizerFile), means);
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
}
