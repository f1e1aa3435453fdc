import { workerData } from "node:worker_threads";
import { ModelRuntimeError } from "#runtime/errors";
import { generate } from "./generate.ts";
import { logProbBatch } from "./log-prob.ts";
import type { WorkerReply, WorkerResults, WorkerTask } from "./protocol.ts";
import { loadModel, type ModelSpec, ortVersion } from "./session.ts";

/** This thread's copy of the model. */
const model = loadModel(workerData as ModelSpec);

/** Run one task. Never throws for the world's failures; a throw here is our bug, and the pool reports it as a crash. */
export default async function runTask(
  task: WorkerTask,
): Promise<WorkerReply<WorkerResults[WorkerTask["kind"]]>> {
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
      return generate(
        model,
        task.task,
        (token) => task.port.postMessage(token),
        () => Atomics.load(task.abortFlag, 0) !== 0,
      );
    case "logProb":
      return logProbBatch(model, task.batch);
  }
}
