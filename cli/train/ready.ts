import { setTimeout as sleep } from "node:timers/promises";
import { eq } from "drizzle-orm";
import type { Hex } from "viem";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { adapter, refusal } from "#schema/offchain/40-engine";

/** Longest the engine may take to check an adapter and store its gradients, in ms, and between two looks. */
const readyMsMax = 1_800_000;
const lookMs = 1_000;

/**
 * Wait until the engine has checked a published adapter and stored the gradients of its records: from then on it is served.
 * @throws AdapterRefusedError with the engine's reason; AdapterNotReadyError.
 */
export async function awaitReady(db: Drizzle, modelId: Hex, say: (text: string) => void): Promise<void> {
  let told = "";
  const tell = (text: string) => {
    if (text !== told) say(text);
    told = text;
  };
  let failure: unknown;
  for (const deadline = Date.now() + readyMsMax; Date.now() < deadline; await sleep(lookMs)) {
    try {
      const state = await readState(db, modelId);
      failure = undefined;
      if (state === "ready") return;
      tell(state === undefined ? "published; final in a moment" : "checked; the engine stores its gradients");
    } catch (error) {
      if (error instanceof AdapterRefusedError) throw error;
      failure = error;
      tell("the database does not answer; it is asked again");
    }
  }
  throw new AdapterNotReadyError(modelId, failure);
}

/** Undefined until the engine has checked it. @throws AdapterRefusedError */
async function readState(db: Drizzle, modelId: Hex): Promise<string | undefined> {
  const [row] = await db.select().from(adapter).where(eq(adapter.modelId, modelId));
  if (row !== undefined) return row.state;
  const [refused] = await db
    .select()
    .from(refusal)
    .where(eq(refusal.subject, `training:${modelId}`));
  if (refused !== undefined) throw new AdapterRefusedError(modelId, refused.code, refused.reason);
  return undefined;
}

export class AdapterRefusedError extends PipelineError {
  override readonly name = "AdapterRefusedError";
  constructor(modelId: Hex, code: string, reason: string) {
    super(`The engine refuses model ${modelId} (${code}): ${reason}`, { code, retryable: false });
  }
}

export class AdapterNotReadyError extends PipelineError {
  override readonly name = "AdapterNotReadyError";
  /** @param cause Why the database gave no answer at last, if so. */
  constructor(modelId: Hex, cause: unknown) {
    super(
      `Model ${modelId} is published, but not ready after ${readyMsMax / 60_000} minutes. Look at the engine's log; nothing needs to be sent again.`,
      { code: "adapter_not_ready", retryable: true, cause },
    );
  }
}
