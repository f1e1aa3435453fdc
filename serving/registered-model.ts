import { setTimeout as sleep } from "node:timers/promises";
import { and, eq, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { modelPollMs, modelWaitMsMax } from "./constants.ts";
import type { FinalBlockReader } from "./final-block.ts";

/** What the registry says of a model this node serves. An adapter is loaded under its model id. */
export type RegisteredModel = {
  modelId: Hex;
  feeWei: bigint;
  provenanceMode: number;
  /** Artifact hash of the adapter it follows; null is the base. */
  adapterHash: Hex | null;
};

type Options = {
  db: Drizzle;
  modelId: Hex;
  artifactHash: Hex;
  finalBlock: FinalBlockReader;
  signal: AbortSignal;
  /** Told of failures of database and chain, which are tried again. */
  onFailure: (error: unknown) => void;
};

/**
 * Wait until the model's registration is final, and check that it names the files in our folder: the engine would
 * refuse to score answers of others.
 * @throws ModelNotRegisteredError after `modelWaitMsMax`; ModelMismatchError; ModelSealedError for a mode we do not serve.
 */
export async function awaitModel(options: Options): Promise<RegisteredModel> {
  const { modelId, artifactHash, signal, onFailure } = options;
  for (let waitedMs = 0; waitedMs < modelWaitMsMax; waitedMs += modelPollMs) {
    const row = await findModel(options).catch(onFailure);
    if (row !== undefined) {
      if (row.artifactHash !== artifactHash)
        throw new ModelMismatchError(modelId, row.artifactHash, artifactHash);
      if (row.provenanceMode !== 0) throw new ModelSealedError(modelId);
      return { modelId, feeWei: row.pricePerCall, provenanceMode: row.provenanceMode, adapterHash: null };
    }
    await sleep(modelPollMs, undefined, { signal });
  }
  throw new ModelNotRegisteredError(modelId);
}

async function findModel({ db, modelId, finalBlock }: Options) {
  const block = await finalBlock();
  if (block === 0n) return undefined;
  const { model } = onchain;
  const [row] = await db
    .select()
    .from(model)
    .where(and(eq(model.id, modelId), lte(model.blockNumber, block)));
  return row;
}

export class ModelNotRegisteredError extends PipelineError {
  override readonly name = "ModelNotRegisteredError";
  constructor(modelId: Hex) {
    super(
      `model ${modelId} is not registered, or not final, after ${modelWaitMsMax} ms. Check MODEL_ID and the indexer.`,
      {
        code: "model_not_registered",
        retryable: true,
      },
    );
  }
}

export class ModelMismatchError extends PipelineError {
  override readonly name = "ModelMismatchError";
  constructor(modelId: Hex, registered: Hex, given: Hex) {
    super(`model ${modelId} is registered with artifact ${registered}. Given by MODEL_FOLDER: ${given}.`, {
      code: "model_mismatch",
      retryable: false,
    });
  }
}

export class ModelSealedError extends PipelineError {
  override readonly name = "ModelSealedError";
  constructor(modelId: Hex) {
    super(`model ${modelId} has provenance mode sealed. This node serves public models only.`, {
      code: "model_sealed",
      retryable: false,
    });
  }
}
