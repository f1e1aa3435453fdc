import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { and, asc, eq, lte } from "drizzle-orm";
import { type Hex, hexToBytes } from "viem";
import { type Model, ModelRuntimeError } from "#runtime/index";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import type { Log } from "#schema/log";
import { adapter, payload } from "#schema/offchain/index";
import * as manifest from "#settlement/blob/training/manifest";
import * as settings from "#settlement/blob/training/settings";
import { adaptersMax } from "./constants.ts";
import type { FinalBlockReader } from "./final-block.ts";
import type { RegisteredModel } from "./registered-model.ts";

/** An adapter that was loaded, with the name it was registered under. */
export type LoadedAdapter = RegisteredModel & { name: string };

type Parts = {
  db: Drizzle;
  baseModelId: Hex;
  model: Model;
  adaptersFolder: string | null;
  finalBlock: FinalBlockReader;
  log: Log;
};

export type AdapterLoader = {
  /** Load those that became ready since the last look. One that cannot be loaded is told and left out, for good. */
  loadNew: () => Promise<LoadedAdapter[]>;
};

/**
 * The adapters of the node's base that the engine has checked and can attribute, in the order of their registration. Their
 * files come from their training payload, which the engine keeps, and are compared with the hash on chain.
 */
export function createAdapterLoader(parts: Parts): AdapterLoader {
  const seen = new Set<Hex>();
  return {
    loadNew: async () => {
      const loaded: LoadedAdapter[] = [];
      for (const row of await findReady(parts)) {
        if (seen.has(row.modelId) || seen.size >= adaptersMax) continue;
        try {
          loaded.push(await load(parts, row));
        } catch (error) {
          // Its files are a stranger's, or too large for this node: the others are served all the same.
          if (!(error instanceof ModelRuntimeError || error instanceof AdapterUnusableError)) throw error;
          parts.log.error(`adapter ${row.modelId} is not served`, error);
        }
        seen.add(row.modelId);
      }
      return loaded;
    },
  };
}

type Ready = { modelId: Hex; artifactHash: Hex; contentHash: Hex; feeWei: bigint; provenanceMode: number };

async function findReady({ db, baseModelId, finalBlock }: Parts): Promise<Ready[]> {
  const { model } = onchain;
  const { modelId, artifactHash, contentHash, state } = adapter;
  return db
    .select({
      modelId,
      artifactHash,
      contentHash,
      feeWei: model.pricePerCall,
      provenanceMode: model.provenanceMode,
    })
    .from(adapter)
    .innerJoin(model, eq(model.id, modelId))
    .where(
      and(
        eq(state, "ready"),
        eq(adapter.baseModelId, baseModelId),
        lte(model.blockNumber, await finalBlock()),
      ),
    )
    .orderBy(asc(model.eventId));
}

async function load(parts: Parts, row: Ready): Promise<LoadedAdapter> {
  const { modelId, artifactHash: adapterHash, feeWei, provenanceMode } = row;
  if (provenanceMode !== 0) throw new AdapterUnusableError(modelId, "it is sealed");
  const [kept] = await parts.db.select().from(payload).where(eq(payload.contentHash, row.contentHash));
  const decoded = kept ? manifest.decode(kept.bytes) : null;
  invariant(decoded?.ok, "an adapter's payload was decoded before it became ready");
  const read = settings.decode(decoded.value.settings);
  invariant(read.ok, "so were its settings");
  const hash = await loadFiles(parts, modelId, decoded.value);
  if (hash === adapterHash) return { modelId, feeWei, provenanceMode, adapterHash, name: read.value.name };
  parts.model.unloadAdapter(modelId);
  throw new AdapterUnusableError(modelId, `its files hash to ${hash}, the chain has ${adapterHash}`);
}

/** @returns the hash of what was loaded. */
async function loadFiles(
  { model, adaptersFolder }: Parts,
  modelId: Hex,
  { files, adapterHash }: manifest.Manifest,
): Promise<Hex> {
  if (files.length === 0) {
    if (adaptersFolder === null)
      throw new AdapterUnusableError(modelId, "its files are in no payload, and ADAPTERS_FOLDER is not set");
    return (await model.loadAdapter(modelId, join(adaptersFolder, adapterHash))).hash;
  }
  const folder = await mkdtemp(join(tmpdir(), "tributary-adapter-"));
  try {
    for (const { name, content } of files) await writeFile(join(folder, name), hexToBytes(content));
    return (await model.loadAdapter(modelId, folder)).hash;
  } finally {
    await rm(folder, { recursive: true });
  }
}

export class AdapterUnusableError extends PipelineError {
  override readonly name = "AdapterUnusableError";
  constructor(modelId: Hex, reason: string) {
    super(`adapter ${modelId}: ${reason}.`, { code: "adapter_unusable", retryable: false });
  }
}
