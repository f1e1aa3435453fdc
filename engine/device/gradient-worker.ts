/**
 * Process that computes gradients of training records on a GPU: see device.ts. It is told first what to open, then one call
 * at a time, and ends with its parent.
 */
import { ModelRuntimeError, readTokenizer } from "#runtime/index";
import { invariant, PipelineError } from "#schema/errors";
import {
  createRecordGradients,
  type RecordGradients,
  type RecordsTask,
} from "../adapter/record-gradients.ts";
import { assertSameNumbers } from "./assert-same-numbers.ts";
import type { Answer, Setup } from "./device.ts";

let records: ReturnType<typeof createRecordGradients> | undefined;

process.on("disconnect", () => process.exit());
process.on("message", async (message: Setup | RecordsTask) => {
  // An answer that nobody takes any more: the disconnection has ended this process, or is about to.
  process.send?.(await tried(message), () => undefined);
});

/** Errors are told as values; one that is our bug ends the process. */
async function tried(message: Setup | RecordsTask): Promise<Answer> {
  try {
    return { ok: true, gradients: "device" in message ? await setUp(message) : await gradients(message) };
  } catch (error) {
    if (!(error instanceof ModelRuntimeError || error instanceof PipelineError)) throw error;
    return { ok: false, code: error.code, reason: error.message, retryable: error.retryable };
  }
}

async function setUp({ folder, adaptableModules, device }: Setup): Promise<RecordGradients> {
  await assertSameNumbers(folder, adaptableModules, device);
  records = createRecordGradients({ folder, tokenizer: await readTokenizer(folder), device });
  return [];
}

async function gradients(task: RecordsTask): Promise<RecordGradients> {
  invariant(records !== undefined, "it was told what to open");
  return records.ofRecords(task);
}
