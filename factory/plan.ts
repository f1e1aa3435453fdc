import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { and, eq, inArray } from "drizzle-orm";
import type { Hex, PublicClient } from "viem";
import { z } from "zod";
import { type Example, readTokenizer } from "#runtime/index";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { finalBlock } from "#schema/finality";
import { chunk } from "#schema/offchain/40-engine";
import { readSnapshot } from "#schema/snapshot";
import { draw } from "#settlement/blob/training/rows";
import * as settings from "#settlement/blob/training/settings";
import { examplesFor } from "./examples.ts";
import { type Choice, settingsFor } from "./settings.ts";
import { writeWhole } from "./training.ts";

const hex = z.custom<Hex>((value) => typeof value === "string" && /^0x[0-9a-f]{64}$/.test(value));
const whole = z.codec(z.string().regex(/^\d+$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
});

const planFile = z.strictObject({
  baseModelId: hex,
  baseArtifactHash: hex,
  datanetIds: z.array(whole),
  snapshotBlock: whole,
  snapshotBlockHash: hex,
  settings: z.string(),
  trainRows: z.array(hex),
  gateRows: z.array(hex),
});

/** What is trained: fixed before the first step, kept beside the checkpoint, so that a killed training goes on with it. */
export type Plan = z.output<typeof planFile>;

export type Request = {
  baseModelId: Hex;
  baseArtifactHash: Hex;
  /** Ascending. */
  datanetIds: readonly bigint[];
  choice: Choice;
};

type Reader = { db: Drizzle; client: Pick<PublicClient, "getBlock" | "getChainId"> };

/**
 * The plan in `folder`, or a new one of the records that stand at the final block, which is left there.
 * @throws PlanMismatchError where the one there is of another request; NothingToLearnError; NotIndexedError;
 * SnapshotPendingError; ZodError for settings out of range.
 */
export async function planTraining(reader: Reader, folder: string, request: Request): Promise<Plan> {
  const path = join(folder, "plan.json");
  const found = await readPlan(path);
  if (found !== null) {
    await assertSame(reader, found, request, folder);
    return found;
  }
  const final = await finalBlock(reader);
  if (final === undefined) throw new NotIndexedError();
  const { hash, number } = await reader.client.getBlock({ blockNumber: final.blockNumber });
  invariant(hash !== null && number !== null, "a mined block has its hash");
  const { baseModelId, baseArtifactHash, datanetIds, choice } = request;
  const records = await readSnapshot(reader.db, datanetIds, number);
  const distinct = records.filter(({ chunkId, firstChunkId }) => chunkId === firstChunkId);
  const chosen = settingsFor(choice, distinct.length);
  const rows = draw(records, hash, chosen);
  if (rows === null) throw new NothingToLearnError(datanetIds, distinct.length, chosen.gateRecords);
  const plan: Plan = {
    ...{ baseModelId, baseArtifactHash, datanetIds: [...datanetIds], settings: settings.encode(chosen) },
    ...{ snapshotBlock: number, snapshotBlockHash: hash, trainRows: rows.train, gateRows: rows.gate },
  };
  await writeWhole(path, JSON.stringify(z.encode(planFile, plan)));
  return plan;
}

export function settingsOf(plan: Plan): settings.Settings {
  const decoded = settings.decode(plan.settings);
  invariant(decoded.ok, "a plan holds settings");
  return decoded.value;
}

/** Examples of the plan's rows in their order, as tokens of the base model, and the Datanet of each row. */
export async function readRows(
  db: Drizzle,
  plan: Plan,
  baseFolder: string,
): Promise<{ train: Example[]; gate: Example[]; datanetOf: Map<Hex, bigint> }> {
  const ids = [...plan.trainRows, ...plan.gateRows];
  const { id, source, text, datanetId } = chunk;
  const rows = [];
  for (let from = 0; from < ids.length; from += idsMax) {
    const some = ids.slice(from, from + idsMax);
    rows.push(...(await db.select({ id, source, text, datanetId }).from(chunk).where(inArray(id, some))));
  }
  const byId = new Map(rows.map((row) => [row.id, row]));
  const of = (chunkIds: readonly Hex[]) =>
    chunkIds.map((chunkId) => {
      const row = byId.get(chunkId);
      if (row === undefined) throw new RowMissingError(chunkId);
      return row;
    });
  const { rowTokens } = settingsOf(plan);
  const tokenizer = await readTokenizer(baseFolder);
  return {
    train: examplesFor(of(plan.trainRows), tokenizer, rowTokens),
    gate: examplesFor(of(plan.gateRows), tokenizer, rowTokens),
    datanetOf: new Map(rows.map((row) => [row.id, row.datanetId])),
  };
}

/** Most ids in one query; PostgreSQL allows 65,535 parameters. */
const idsMax = 10_000;

/** The base model as it is registered. @throws BaseUnknownError */
export async function findBase(db: Drizzle, baseModelId: Hex, artifactHash: Hex): Promise<void> {
  const { model } = onchain;
  const [row] = await db
    .select({ artifactHash: model.artifactHash })
    .from(model)
    .where(and(eq(model.id, baseModelId)));
  if (row?.artifactHash !== artifactHash)
    throw new BaseUnknownError(baseModelId, artifactHash, row?.artifactHash);
}

async function readPlan(path: string): Promise<Plan | null> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return text === null ? null : planFile.parse(JSON.parse(text));
}

/** A plan is another's where the request differs, or the chain left the block it was drawn by. */
async function assertSame({ client }: Reader, plan: Plan, request: Request, folder: string): Promise<void> {
  const { baseModelId, baseArtifactHash, datanetIds, choice } = request;
  const held = settingsOf(plan);
  const wanted = settingsFor(choice, plan.trainRows.length + plan.gateRows.length);
  const isSame =
    plan.baseModelId === baseModelId &&
    plan.baseArtifactHash === baseArtifactHash &&
    plan.datanetIds.join() === datanetIds.join() &&
    Object.entries(choice).every(([key, value]) => value === undefined || isHeld(key, held, wanted));
  if (!isSame) throw new PlanMismatchError(folder, "it is of another base model, other Datanets or settings");
  const { hash } = await client.getBlock({ blockNumber: plan.snapshotBlock });
  if (hash !== plan.snapshotBlockHash)
    throw new PlanMismatchError(folder, "the chain left the block its rows were drawn by");
}

/** Whether what the user asked for by name is what the plan holds. */
function isHeld(key: string, held: settings.Settings, wanted: settings.Settings): boolean {
  const asked: Record<string, (of: settings.Settings) => unknown> = {
    steps: ({ schedule }) => schedule.stepsMax,
    peak: ({ schedule }) => schedule.peak,
    recordsMax: ({ trainRecordsMax }) => trainRecordsMax,
    targetModules: ({ targetModules }) => targetModules.join(),
  };
  const pick = asked[key] ?? ((of: settings.Settings) => of[key as keyof settings.Settings]);
  return pick(held) === pick(wanted);
}

export class PlanMismatchError extends PipelineError {
  override readonly name = "PlanMismatchError";
  constructor(folder: string, reason: string) {
    super(
      `${folder} holds another training: ${reason}. Give it another --name, or add --fresh to begin anew.`,
      {
        code: "plan_mismatch",
        retryable: false,
      },
    );
  }
}

export class NothingToLearnError extends PipelineError {
  override readonly name = "NothingToLearnError";
  constructor(datanetIds: readonly bigint[], records: number, gateRecords: number) {
    super(
      `Datanet ${datanetIds.join(", ")} holds ${records} accepted records that differ; ${gateRecords + 1} are needed, of which ${gateRecords} are held out. Contribute more, or lower --gate.`,
      { code: "nothing_to_learn", retryable: true },
    );
  }
}

export class NotIndexedError extends PipelineError {
  override readonly name = "NotIndexedError";
  constructor() {
    super("Nothing is indexed yet. Start the system (npm start) and try again.", {
      code: "not_indexed",
      retryable: true,
    });
  }
}

export class RowMissingError extends PipelineError {
  override readonly name = "RowMissingError";
  constructor(chunkId: Hex) {
    super(`record ${chunkId} is no longer in the database. Let the engine rebuild it, or add --fresh.`, {
      code: "row_missing",
      retryable: true,
    });
  }
}

export class BaseUnknownError extends PipelineError {
  override readonly name = "BaseUnknownError";
  constructor(modelId: Hex, given: Hex, registered: Hex | undefined) {
    const is = registered === undefined ? "is not registered" : `is registered with artifact ${registered}`;
    super(`base model ${modelId} ${is}; MODEL_FOLDER holds ${given}. Name the base with --base.`, {
      code: "base_unknown",
      retryable: false,
    });
  }
}
