import { setTimeout as sleep } from "node:timers/promises";
import { asc, inArray } from "drizzle-orm";
import { type Hex, hexToBytes, keccak256, type PublicClient } from "viem";
import {
  type Archive,
  type BlobSource,
  EigenDaError,
  retrievePayload,
  type Sweep,
  sweepFigures,
} from "#eigenda/index";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import type { Log } from "#schema/log";
import { archivedPerTrainingMax, archivedUnpaidMax, archiveLookMs } from "./constants.ts";
import type { BlobReader } from "./fetch/payload.ts";
import type { Metrics } from "./metrics.ts";

/** A blob that the chain names, by its certificate. */
export type Named = { certificate: Hex; block: bigint };

export type Archivist = {
  /** All that the chain names so far and the archive takes. */
  named: () => Promise<Named[]>;
  client: Pick<PublicClient, "getBlock">;
  archive: Archive;
  /** The relays. */
  source: BlobSource;
  check: BlobReader["check"];
  metrics: Metrics;
  log: Log;
  sweepMs: number;
  /** Time between two looks for new blobs; default `archiveLookMs`. */
  lookMs?: number;
};

/** Accepted, and retracted after that: answers given before still name its chunks. */
const usedStates = [2, 5];

/**
 * Keep every blob the chain names until `signal` aborts: look for new ones, and at times check every copy there is. What scores and pays never waits for it: a failure is logged, counted and tried again.
 */
export async function keepArchive(archivist: Archivist, signal: AbortSignal): Promise<void> {
  const { log, sweepMs, lookMs = archiveLookMs } = archivist;
  /** Hashes of certificates that the network did not sign, or that lead to no blob: no use to ask again. */
  const unfit = new Set<Hex>();
  let sweptAtMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    try {
      await archiveNew(archivist, unfit, signal);
      if (performance.now() - sweptAtMs >= sweepMs) {
        tell(await archivist.archive.sweep({ signal }), archivist);
        sweptAtMs = performance.now();
      }
    } catch (error) {
      if (!signal.aborted) log.error("archiving failed, will try again", error);
    }
    // Aborted means stop: the loop sees it.
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

async function archiveNew(archivist: Archivist, unfit: Set<Hex>, signal: AbortSignal): Promise<void> {
  const { archive, metrics, log } = archivist;
  const kept = new Set(await archive.certificateHashes());
  let missing = 0;
  for (const named of await archivist.named()) {
    const hash = keccak256(named.certificate);
    if (kept.has(hash) || unfit.has(hash)) continue;
    signal.throwIfAborted();
    try {
      if (!(await archiveOne(archivist, named, signal))) unfit.add(hash);
    } catch (error) {
      signal.throwIfAborted();
      missing += 1;
      log.error(`blob of certificate ${hash} is not archived yet`, error);
    }
  }
  metrics.archiveMissing.set(missing);
}

/** False for a certificate that is none, or leads to what is no payload. @throws what may pass. */
async function archiveOne(
  { archive, source, client, check }: Archivist,
  { certificate, block }: Named,
  signal: AbortSignal,
): Promise<boolean> {
  const bytes = hexToBytes(certificate);
  if (!(await check(bytes)).ok) return false;
  try {
    const { blob } = await retrievePayload(bytes, [source], { signal });
    const { timestamp } = await client.getBlock({ blockNumber: block });
    await archive.add(bytes, { blob, dispersedAtMs: Math.min(Number(timestamp) * 1000, Date.now()) });
    return true;
  } catch (error) {
    if (error instanceof EigenDaError && error.kind === "invalid") return false;
    throw error;
  }
}

/**
 * Contributions once accepted, training payloads that `takenTrainings` takes, receipts and provenance, as the indexer has them.
 * @param onLeftOut Told how many trainings of unpaid models wait outside.
 */
export async function readNamed(db: Drizzle, onLeftOut: (count: number) => void): Promise<Named[]> {
  const { contribution, batch, epoch, modelUsage, trainingManifest } = onchain;
  const contributions = await db
    .select({ certificate: contribution.daCommitment, block: contribution.submittedBlock })
    .from(contribution)
    .where(inArray(contribution.state, usedStates));
  const { modelId, manifestHash } = trainingManifest;
  const published = await db
    .select({
      ...{ modelId, manifestHash, certificate: trainingManifest.daCommitment },
      block: trainingManifest.blockNumber,
    })
    .from(trainingManifest)
    .orderBy(asc(trainingManifest.eventId));
  const used = await db.selectDistinct({ modelId: modelUsage.modelId }).from(modelUsage);
  const trainings = takenTrainings(published, new Set(used.map((row) => row.modelId)));
  onLeftOut(trainings.leftOut);
  const batches = await db.select({ certificate: batch.daCommitment, block: batch.blockNumber }).from(batch);
  const epochs = await db.select({ certificate: epoch.daCommitment, block: epoch.proposedBlock }).from(epoch);
  return [...contributions, ...trainings.taken, ...batches, ...epochs];
}

type Published = Named & { modelId: Hex; manifestHash: Hex };

/**
 * The trainings that an archive takes, of those published, in the order of the log: of each model the manifest that counts,
 * its first, in at most `archivedPerTrainingMax` blobs. All of models that were paid for; of the others the oldest, so
 * that what was taken stays taken and strangers' models fill no disk. The rest waits for its model's first paid answer,
 * while DA still has it. Pure.
 */
export function takenTrainings(
  published: readonly Published[],
  paid: ReadonlySet<Hex>,
  unpaidMax = archivedUnpaidMax,
): { taken: Named[]; leftOut: number } {
  const taken: Named[] = [];
  let [unpaid, leftOut] = [0, 0];
  for (const [modelId, own] of Map.groupBy(published, (row) => row.modelId)) {
    if (!paid.has(modelId) && ++unpaid > unpaidMax) {
      leftOut += 1;
      continue;
    }
    const counted = own.filter(({ manifestHash }) => manifestHash === own[0]!.manifestHash);
    for (const { certificate, block } of counted.slice(0, archivedPerTrainingMax))
      taken.push({ certificate, block });
  }
  return { taken, leftOut };
}

function tell(sweep: Sweep, { metrics, log }: Archivist): void {
  for (const { name, help, value } of sweepFigures(sweep)) metrics.archive(name, help).set(value);
  const { entries, alarms, lost, unlisted, unreadable } = sweep;
  const counts = { blobs: entries.length, repaired: entries.flatMap(({ repaired }) => repaired).length };
  log.info("archive swept", counts);
  for (const { certificateHash, missing, expiresAtMs } of alarms) {
    const reasons = missing.map(({ store, reason }) => `${store}: ${reason}`).join("; ");
    const until = new Date(expiresAtMs).toISOString();
    log.error(`ALARM: blob of ${certificateHash} is not archived, and DA forgets it at ${until}`, reasons);
  }
  for (const { certificateHash } of lost)
    log.error("ALARM: a blob is lost, in the archive and at DA", certificateHash);
  for (const { store, reason } of unlisted)
    log.error(`ALARM: the archive's ${store} cannot be listed`, reason);
  for (const { name, reason } of unreadable)
    log.error(`ALARM: the archive cannot read certificate ${name}`, reason);
}
