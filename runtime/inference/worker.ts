import { workerData } from "node:worker_threads";
import { ModelRuntimeError } from "#runtime/errors";
import { createBatcher } from "./batcher.ts";
import { logProbBatch } from "./log-prob.ts";
import type { WorkerReply, WorkerResults, WorkerSetup, WorkerTask } from "./protocol.ts";
import { loadModel, ortVersion } from "./session.ts";

const { spec, rowsMax, closingFlag } = workerData as WorkerSetup;

/** This thread's sessions of the model. */
const model = loadModel(spec);
const batcher = createBatcher(model, rowsMax);

/** Run one task. Never throws for the world's failures; a throw here is our bug, and the pool reports it as a crash. */
export default async function runTask(
  task: WorkerTask,
): Promise<WorkerReply<WorkerResults[WorkerTask["kind"]]>> {
  if (isClosing())
    return { ok: false, code: "model-closed", retryable: false, message: "The model is closed." };
  try {
    return { ok: true, result: await perform(task) };
  } catch (error) {
    if (!(error instanceof ModelRuntimeError)) throw error;
    return { ok: false, code: error.code, retryable: error.retryable, message: error.message };
  }
}

async function perform(task: WorkerTask): Promise<WorkerResults[WorkerTask["kind"]]> {
  switch (task.kind) {
    case "warm":
      await model.session("prefill");
      await model.session("decode");
      return { ortVersion };
    case "generate":
      return batcher.generate(task.task, {
        emit: (token) => task.port.postMessage(token),
        isAborted: () => isClosing() || Atomics.load(task.abortFlag, 0) !== 0,
      });
    case "logProb":
      return logProbBatch(model, task.batch);
  }
}

function isClosing(): boolean {
  return Atomics.load(closingFlag, 0) !== 0;
}
