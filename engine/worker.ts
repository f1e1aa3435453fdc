/** Thread of the engine's pool: one copy of the model, one task at a time. See pool.ts. */
import { workerData } from "node:worker_threads";
import { foldSpaces, ModelRuntimeError, openModel, readTokenizer, renderPrompt } from "#runtime/index";
import type { PoolTask, TaskResult } from "./pool.ts";

const { folder } = workerData as { folder: string };
const model = await openModel(folder);
const tokenizer = await readTokenizer(folder);

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
    const { question, answerTokenIds } = task;
    const prompts = task.contexts.map((passages) => tokenizer.encode(renderPrompt({ passages, question })));
    const nats = await model.logProb(prompts.map((promptTokenIds) => ({ promptTokenIds, answerTokenIds })));
    return {
      ok: true,
      kind: "values",
      nats,
      answer: foldSpaces(tokenizer.decode(answerTokenIds).replaceAll("\0", "")),
    };
  } catch (error) {
    if (!(error instanceof ModelRuntimeError)) throw error;
    return { ok: false, code: error.code, reason: error.message, retryable: error.retryable };
  }
}
