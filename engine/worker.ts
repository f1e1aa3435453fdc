/** Thread of the engine's pool: one copy of the model, one task at a time. See pool.ts. */
import { workerData } from "node:worker_threads";
import { encodePrompt, foldSpaces, ModelRuntimeError, openModel, readTokenizer } from "#runtime/index";
import { PipelineError } from "#schema/errors";
import { createAdapterTasks } from "./adapter/tasks.ts";
import type { PoolOptions, PoolTask, TaskResult } from "./pool.ts";

const { folder, adaptableModules } = workerData as Omit<PoolOptions, "workers">;
const model = await openModel(folder, { adaptableModules });
const tokenizer = await readTokenizer(folder);
const adapters = createAdapterTasks({ folder, model, tokenizer });

/** Errors come back as values: crossing threads would cost them their fields. */
export default async function run(task: PoolTask): Promise<TaskResult> {
  if (task.kind === "describe") {
    return {
      ok: true,
      kind: "describe",
      artifactHash: model.artifactHash,
      profile: model.profile().canonicalJson,
    };
  }
  try {
    return task.kind === "values" ? await values(task) : await adapters.run(task);
  } catch (error) {
    if (!(error instanceof ModelRuntimeError || error instanceof PipelineError)) throw error;
    return { ok: false, code: error.code, reason: error.message, retryable: error.retryable };
  }
}

async function values(task: Extract<PoolTask, { kind: "values" }>): Promise<TaskResult> {
  const { question, answerTokenIds } = task;
  const adapter = task.adapter ? await adapters.load(task.adapter) : null;
  const requests = task.contexts.map((passages) => ({
    adapter,
    ...encodePrompt(tokenizer, { passages, question }),
    answerTokenIds,
  }));
  const nats = await model.logProb(requests);
  const answer = foldSpaces(tokenizer.decode(answerTokenIds).replaceAll("\0", ""));
  return { ok: true, kind: "values", nats, answer };
}
