/**
 * One receipt scored again, as a process with the engine's environment: `<receipt digest> [--exact]`. The receipt, its
 * passages and its adapter are what this database holds; nothing is written to it. Standard output: one JSON line of
 * `Rescored`. Exit code 1 with a reason on standard error.
 */
import { eq } from "drizzle-orm";
import { createPublicClient, type Hex, http } from "viem";
import { openDatabase } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { receipt } from "#schema/offchain/index";
import { createAdapterOpener } from "./adapter/store.ts";
import { readConfig } from "./config.ts";
import { openGradientDevice } from "./device/device.ts";
import { readFinalHash } from "./final-hash.ts";
import { describeMethod } from "./method.ts";
import { openPool } from "./pool.ts";
import { auditPlayersMax } from "./score/shapley.ts";
import { computeScore } from "./score-receipt.ts";

/** Amounts in wad of nats. */
export type Rescored = {
  batchId: string;
  methodHash: Hex;
  method: string;
  values: { base: string; context: string; adapter: string; both: string };
  passages: { id: Hex; scoreWad: string; estimator: string }[];
  records: { id: Hex; scoreWad: string; estimator: string }[];
  unexplainedWad: string;
};

async function rescore(receiptDigest: Hex, isExact: boolean): Promise<Rescored> {
  const config = readConfig();
  await using database = openDatabase({ url: config.databaseUrl, applicationName: "rescore" });
  const { db } = database;
  const [row] = await db.select().from(receipt).where(eq(receipt.digest, receiptDigest));
  if (row === undefined)
    throw new NotScoredError(receiptDigest, "no receipt of a settled, final batch has it");
  const { modelFolder: folder, adaptableModules, estimator, influenceMethod, dualMax } = config;
  await using pool = await openPool({ folder, workers: 1, adaptableModules });
  const method = describeMethod(pool.profile, config);
  // Opened only where the store is not there and has to be made.
  await using device = openGradientDevice({ folder, adaptableModules, device: config.device });
  const { engineFolder, adaptersFolder } = config;
  const openAdapter = createAdapterOpener({
    ...{ db, pool, device, places: { engineFolder, adaptersFolder }, method: influenceMethod },
    ...{ methodHash: method.hash, dualMax },
  });
  const client = createPublicClient({ transport: http(config.rpcUrl), cacheTime: 0 });
  const finalBlockHash = (block: bigint) => readFinalHash(db, client, block);
  const parts = { db, pool, estimator, openAdapter, finalBlockHash };
  const { signal } = new AbortController();
  const scored = await computeScore(parts, row, signal, isExact ? auditPlayersMax : undefined);
  if (!scored.ok) throw new NotScoredError(receiptDigest, `${scored.code}: ${scored.reason}`);
  const { score, records } = scored;
  return {
    batchId: String(row.batchId),
    methodHash: method.hash,
    method: method.text,
    values: {
      base: String(score.valueBaseWad),
      context: String(score.valueContextWad),
      adapter: String(score.valueAdapterWad),
      both: String(score.valueBothWad),
    },
    passages: score.influences.map(told),
    records: records.map(told),
    unexplainedWad: String(score.unexplainedWad),
  };
}

function told({ chunkId, scoreWad, estimator }: { chunkId: Hex; scoreWad: bigint; estimator: string }) {
  return { id: chunkId, scoreWad: String(scoreWad), estimator };
}

class NotScoredError extends PipelineError {
  override readonly name = "NotScoredError";
  constructor(receiptDigest: Hex, reason: string) {
    super(`receipt ${receiptDigest} cannot be scored: ${reason}`, { code: "not_scored", retryable: false });
  }
}

const [digest = "", mode] = process.argv.slice(2);
try {
  console.log(JSON.stringify(await rescore(digest as Hex, mode === "--exact")));
} catch (error) {
  console.error(error instanceof PipelineError ? error.message : error);
  process.exitCode = 1;
}
