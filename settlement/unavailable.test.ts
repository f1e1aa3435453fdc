import { eq, inArray, sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import { hexToBytes } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyCertificate } from "#eigenda/index";
import { createClassifier } from "#engine/classify";
import { fetchContribution } from "#engine/fetch/contribution";
import type { BlobReader } from "#engine/fetch/payload";
import { createPosted, type Posted } from "#engine/fetch/posted";
import { onchain } from "#schema/bind";
import * as engine from "#schema/offchain/40-engine";
import { epochRun } from "#schema/offchain/50-settlement";
import { stateHash } from "#schema/state-hash";
import { contribute, finalise, startEngine } from "../engine/testing/pipeline.ts";
import { contributor } from "../indexer/test/life.ts";
import { until } from "../schema/testing/stack.ts";
import { isUnscored } from "./allocation/facts.ts";
import { roles } from "./blob/codes.ts";
import * as provenance from "./blob/provenance.ts";
import { batchesIn } from "./loaders/batches.ts";
import { runTables } from "./loaders/runs.ts";
import { ContributionHeldError } from "./loaders/unavailable.ts";
import { openSettledWorld, type SettledWorld } from "./testing/settled-world.ts";

const { chunk, cursor, duplicate, receipt, refusal } = engine;
const engineRows = [
  ...[
    engine.payload,
    refusal,
    engine.span,
    engine.spanCredit,
    engine.deadLetter,
    chunk,
    receipt,
    engine.candidate,
    duplicate,
  ],
  ...[engine.score, engine.influence],
];

/** Said first by a contribution that nobody can read at first, then by one that everybody can. */
const said = "The harbour master keeps his ledger in an iron chest below the stairs.";

let world: SettledWorld;

beforeAll(async () => {
  world = await openSettledWorld();
});

afterAll(() => world?.[Symbol.asyncDispose]());

describe("what the poster of an epoch could not have", () => {
  let before: Awaited<ReturnType<typeof stateHash>>;

  it("is listed in the epoch of its block: a contribution whose blob no relay gave", async () => {
    world.disperser.faults.add("not-found");
    const hidden = await contribute(world, contributor, [said]);
    await finalise(world.world);
    await giveUp(hidden);
    world.disperser.faults.delete("not-found");
    const copy = await contribute(world, contributor, [said]);
    await finalise(world.world);
    await until("the copy is read", async () => (await chunksOf(copy)).length === 1);
    await world.answer(2);
    await world.drive(/^final$/);
    const { unavailable, receipts } = await payloadOf(1n);
    expect(unavailable).toEqual([{ subject: `contribution:${hidden}`, code: "da_unavailable" }]);
    const [own] = await chunksOf(copy);
    const paid = receipts.flatMap(({ entries }) => entries).filter(({ subject }) => subject === own!.id);
    expect(paid.some(({ role, amountWei }) => role === roles.contributor && amountWei > 0n)).toBe(true);
  });

  it("stays out for whoever builds the database anew when the blob can be had again", async () => {
    before = await stateHash(world.world.database.sql, "full");
    await world.engine[Symbol.asyncDispose]();
    await forget();
    await using _ = await startEngine(world);
    const follower = { ...world.context, poster: null };
    await until("all is fetched and scored anew", async () => {
      const step = await world.drive(/./, follower);
      return step.what.startsWith("computed");
    });
    await world.drive(/^final$/, follower);
    expect(await stateHash(world.world.database.sql, "full")).toEqual(before);
    const { reason } = (await refusals("contribution:2"))[0]!;
    expect(reason).toBe("whoever posted epoch 1 could not have its blob");
  });

  it("is not given up once the epoch that has it is final", async () => {
    const posted = newPosted();
    const block = await resolvedBlockOf(1n);
    expect(await posted.wordOn("contribution:1", block, false)).toEqual({ epochId: 1n, code: null });
    expect(await posted.wordOn("contribution:9", 1n << 60n, false)).toBeNull();
    const task = { data: { eventId: "again", contributionId: "1" }, isLastTry: true };
    const parts = { db: db(), boss: {} as PgBoss, reader: reader(), posted };
    world.disperser.faults.add("not-found");
    try {
      await expect(fetchContribution(parts, { ...task, signal: unaborted })).rejects.toMatchObject({
        kind: "failover",
      });
      // Without its payload an epoch says nothing: then the engine's own judgement has to do.
      const unread = newPosted();
      await expect(unread.wordOn("contribution:2", block, false)).rejects.toThrow();
      expect(await unread.wordOn("contribution:2", block, true)).toBeNull();
      world.disperser.faults.delete("not-found");
      const word = { epochId: 1n, code: "da_unavailable" };
      expect(await unread.wordOn("contribution:2", block, false)).toEqual(word);
    } finally {
      world.disperser.faults.delete("not-found");
    }
    expect(await refusals("contribution:1")).toEqual([]);
  });

  it("stands in the epoch whose receipts it leaves unscored: a training", async () => {
    await using _ = await startEngine(world);
    await world.answer(2);
    const [batch] = await batchesIn(db(), (await runOf(1n)).toBlock, 1n << 62n);
    const unscored = await db().select().from(receipt).where(eq(receipt.batchId, batch!.id));
    const subject = `training:${world.modelId}`;
    const judged = unscored.map(({ digest }, index) => ({
      eventId: `${batch!.eventId}:${index}`,
      subject: `receipt:${digest}`,
      code: "model_unavailable",
      reason: "its training was refused (da_mismatch)",
    }));
    const missing = { eventId: "training", subject, code: "da_mismatch", reason: "relays gave another blob" };
    await db()
      .insert(refusal)
      .values([...judged, missing]);
    await world.drive(/^final$/);
    const given = await payloadOf(2n);
    expect(given.unavailable).toEqual([{ subject, code: "da_mismatch" }]);
    expect(given.receipts.map((r) => [r.receiptDigest, isUnscored(r)])).toEqual(
      unscored.map(({ digest }) => [digest, true]),
    );
    before = await stateHash(world.world.database.sql, "full");
    await db()
      .delete(refusal)
      .where(inArray(refusal.subject, [subject, ...judged.map((one) => one.subject)]));
    for (const table of runTables) await db().delete(table);
    const follower = { ...world.context, poster: null };
    await world.drive(/^final$/, follower);
    const said = await world.drive(/^computed/, follower);
    expect(said.what).toContain(`${subject} left out by the poster's judgement`);
    await world.drive(/^final$/, follower);
    expect(await stateHash(world.world.database.sql, "full")).toEqual(before);
  });

  it("stops a follower that read the contribution and built on it", async () => {
    await db().delete(refusal).where(eq(refusal.subject, "contribution:2"));
    for (const table of runTables) await db().delete(table);
    const nobody: Posted = { wordOn: async () => null };
    const boss = { insert: async () => [] } as unknown as PgBoss;
    const task = { data: { eventId: "again", contributionId: "2" }, isLastTry: false };
    await fetchContribution(
      { db: db(), boss, reader: reader(), posted: nobody },
      { ...task, signal: unaborted },
    );
    await createClassifier(db()).advance();
    const stopped = world.drive(/^final$/, { ...world.context, poster: null });
    await expect(stopped).rejects.toThrow(ContributionHeldError);
  });
});

const unaborted = new AbortController().signal;

function db() {
  return world.world.database.db;
}

function reader(): BlobReader {
  return {
    check: (certificate) => verifyCertificate(certificate, { level: "inclusion+signature", srs: world.srs }),
    retrieve: world.context.retrieve!,
  };
}

function newPosted(): Posted {
  const { contracts, deployBlock } = world.world.deployment;
  const places = { ledger: contracts.attributionLedger, deployBlock: BigInt(deployBlock) };
  return createPosted(world.context.ledger.client, reader().retrieve, places);
}

/** The next failure of the job that fetches it is its last, as after an hour of tries. */
async function giveUp(contributionId: bigint): Promise<void> {
  await until("the contribution is given up", async () => {
    await db().execute(sql`update pgboss.job set retry_limit = retry_count, start_after = now()
      where name = 'fetch-contribution' and state in ('created', 'retry') and data->>'contributionId' = ${String(contributionId)}`);
    return (await refusals(`contribution:${contributionId}`)).length > 0;
  });
}

/** All that the engine and settlement made, as an empty database has it. */
async function forget(): Promise<void> {
  for (const table of [...runTables, ...engineRows]) await db().delete(table);
  await db().delete(cursor).where(eq(cursor.name, "engine"));
  await db().execute(sql`drop schema pgboss cascade`);
}

async function runOf(epochId: bigint) {
  const [run] = await db().select().from(epochRun).where(eq(epochRun.epochId, epochId));
  return run!;
}

async function payloadOf(epochId: bigint): Promise<provenance.Provenance> {
  const decoded = provenance.decode(hexToBytes((await runOf(epochId)).payload));
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}

async function resolvedBlockOf(id: bigint): Promise<bigint> {
  const { contribution } = onchain;
  const [row] = await db().select().from(contribution).where(eq(contribution.id, id));
  return row!.resolvedBlock!;
}

function refusals(subject: string) {
  return db().select().from(refusal).where(eq(refusal.subject, subject));
}

function chunksOf(contributionId: bigint) {
  return db()
    .select({ id: chunk.id })
    .from(chunk)
    .innerJoin(duplicate, eq(duplicate.chunkId, chunk.id))
    .where(eq(chunk.contributionId, contributionId));
}
