import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { count, eq, gt, ne, sql } from "drizzle-orm";
import { PgBoss } from "pg-boss";
import { bytesToHex, type Hex, hexToBytes, keccak256, toHex } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blobKey, DisperserClient, decodeCertificate } from "#eigenda/index";
import { hashArtifact } from "#runtime/index";
import {
  candidate,
  chunk,
  deadLetter,
  duplicate,
  influence,
  payload,
  receipt,
  refusal,
  score,
  span,
  spanCredit,
} from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import * as commitments from "#settlement/blob/commitments";
import * as contribution from "#settlement/blob/contribution";
import * as payloads from "#settlement/blob/payload";
import * as receiptsCodec from "#settlement/blob/receipts";
import { contributor } from "../indexer/test/life.ts";
import { readConfig } from "../serving/payment/channel.ts";
import * as voucher from "../serving/payment/voucher.ts";
import { createIssuer } from "../serving/receipt.ts";
import { createHubClient } from "../serving/settler/hub-client.ts";
import { findAdapter } from "./adapter/find-adapter.ts";
import { createClassifier } from "./classify.ts";
import { createSpanFinder } from "./find-spans.ts";
import type { Pool } from "./pool.ts";
import { OtherMethodError } from "./queue/recover-jobs.ts";
import { computeScore } from "./score-receipt.ts";
import {
  ask,
  contribute,
  eigendaKey,
  feeWei,
  finalise,
  modelFolder,
  nodeKey,
  openChannel,
  openDatanet,
  openPipeline,
  type Pipeline,
  type Running,
  signVoucher,
  spawnStage,
  startEngine,
  startNode,
  submitContribution,
  texts,
} from "./testing/pipeline.ts";

let pipeline: Pipeline;
let engine: Running;

beforeAll(async () => {
  pipeline = await openPipeline();
  engine = await startEngine(pipeline);
});

afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

describe("the engine", () => {
  it("turns an accepted contribution into its chunks", async () => {
    await until("the chunks are there", async () => (await rowsOf(chunk)) === texts.length);
    const rows = await database().select().from(chunk).orderBy(chunk.index);
    expect(rows.map(({ text }) => text)).toEqual(texts);
    await until("each has its class", async () => {
      const classes = await database().select().from(duplicate);
      return classes.length === texts.length;
    });
    const classes = await database().select().from(duplicate);
    expect(new Set(classes.map(({ firstChunkId }) => firstChunkId)).size).toBe(texts.length);
    for (const row of rows) {
      const { contributionId: contributionBatchId, index, text } = row;
      const textHash = contribution.textHash(text);
      expect(row.id).toBe(contribution.chunkId({ contributionBatchId, index, textHash }));
    }
  });

  it("scores every receipt of a settled batch, and sums add up", async () => {
    await using node = await startNode(pipeline);
    await until("the node retrieves", async () => (await healthOf(node)).chunks === texts.length);
    for (const [i, question] of ["What does the harbour master keep?", "Where is salt stored?"].entries()) {
      const response = await ask(pipeline, node.url, {
        channelId: pipeline.channelId,
        maxWei: BigInt(i + 1) * feeWei,
        question,
      });
      expect(response.status).toBe(200);
    }
    await until("the batch is on chain", async () => (await batchCount()) === 1n);
    await finalise(pipeline.world);
    await until("both receipts are scored", async () => (await rowsOf(score)) === 2);
    const batchShare = (feeWei * 2n * 7_500n) / 10_000n;
    const receipts = await database().select().from(receipt).orderBy(receipt.index);
    expect(receipts.reduce((sum, { poolWei }) => sum + poolWei, 0n)).toBe(batchShare);
    for (const { digest } of receipts) {
      const [scored] = await database().select().from(score).where(eq(score.receiptDigest, digest));
      const influences = await database().select().from(influence).where(eq(influence.receiptDigest, digest));
      expect(influences).toHaveLength(4);
      const sum = influences.reduce((total, { scoreWad }) => total + scoreWad, 0n);
      expect(sum).toBe(scored!.valueBothWad - scored!.valueBaseWad);
    }
  });

  it("finds what an answer copies word for word, where it stands in answer and source", async () => {
    await until("the answers' spans are looked for", async () => (await openJobs()) === 0);
    const spans = await database().select().from(span);
    expect(spans.length).toBeGreaterThan(0);
    for (const { receiptDigest, chunkId, answerStart, answerEnd, sourceStart, sourceEnd } of spans) {
      const [answered] = await database().select().from(receipt).where(eq(receipt.digest, receiptDigest));
      const [source] = await database().select().from(chunk).where(eq(chunk.id, chunkId));
      const copied = answered!.answer!.slice(answerStart, answerEnd);
      expect(copied.split(/\s+/).length).toBeGreaterThan(1);
      expect(source!.text.slice(sourceStart, sourceEnd).split(/\s+/)).toEqual(copied.split(/\s+/));
    }
    const credits = await database().select().from(spanCredit);
    const copiedFrom = (of: { receiptDigest: Hex; chunkId: Hex }[]) =>
      new Set(of.map(({ receiptDigest, chunkId }) => `${receiptDigest} ${chunkId}`));
    expect(copiedFrom(credits)).toEqual(copiedFrom(spans));
    for (const [digest, own] of Map.groupBy(credits, ({ receiptDigest }) => receiptDigest)) {
      const surprises = new Map(
        spans
          .filter(({ receiptDigest }) => receiptDigest === digest)
          .map(({ index, surpriseMicro }) => [index, surpriseMicro]),
      );
      const credited = own.reduce((total, { creditMicro }) => total + creditMicro, 0n);
      const rounding = BigInt(own.length + surprises.size);
      expect(credited <= [...surprises.values()].reduce((a, b) => a + b, 0n) + rounding).toBe(true);
      expect(credited).toBeGreaterThan(0n);
    }
  });

  it("looks for copies in as many words as fit, those of the contributions registered first", async () => {
    const before = await database().select().from(span).orderBy(span.receiptDigest, span.index);
    const { receiptDigest } = before[0]!;
    const forget = () => database().delete(span).where(eq(span.receiptDigest, receiptDigest));
    const find = (limits: Parameters<typeof createSpanFinder>[1]) => {
      const finder = createSpanFinder(database(), limits);
      return () => finder({ data: { receiptDigest }, ...task });
    };
    await forget();
    await find({ wordsMax: 10 })();
    expect(await database().select().from(span).where(eq(span.receiptDigest, receiptDigest))).toEqual([]);
    // A vocabulary that is too large is begun anew before the next answer.
    const forgetful = find({ vocabularyMax: 1 });
    for (let round = 0; round < 2; round++) {
      await forget();
      await forgetful();
      expect(await database().select().from(span).orderBy(span.receiptDigest, span.index)).toEqual(before);
    }
  });

  it("writes the classes that the database did not take, when it is asked again", async () => {
    const rows = () => database().select().from(duplicate).orderBy(duplicate.chunkId);
    const before = await rows();
    await database().delete(duplicate);
    let failures = 1;
    const failing = new Proxy(database(), {
      get: (db, key) =>
        key === "transaction" && failures-- > 0
          ? () => Promise.reject(new Error("lost"))
          : Reflect.get(db, key),
    });
    const classifier = createClassifier(failing);
    await expect(classifier.advance()).rejects.toThrow("lost");
    await classifier.advance();
    expect(await rows()).toEqual(before);
  });

  it("refuses receipts signed for other adapters or of another model, and none where its own model is no one's", async () => {
    const [row] = await database().select().from(receipt);
    const artifactHash = await hashArtifact(modelFolder);
    const other = keccak256("0x02");
    const { signal } = task;
    const open = () => Promise.reject(new Error("a base has no adapter"));
    const parts = { db: database(), open, signal };
    const find = (hash: Hex, adapterSet = row!.adapterSet) =>
      findAdapter({ ...parts, artifactHash: hash }, { ...row!, adapterSet });
    expect(await find(artifactHash)).toEqual({ ok: true, adapter: null });
    expect(await find(artifactHash, commitments.adapterSet([other]))).toMatchObject({
      ok: false,
      code: "adapter_set_mismatch",
    });
    expect(await find(other)).toMatchObject({ ok: false, code: "model_unavailable" });
    const pool = { artifactHash: other, assertSameFiles: async () => undefined } as unknown as Pool;
    const scoring = { db: database(), pool, estimator: "shapley", openAdapter: open } as const;
    const computed = computeScore({ ...scoring, finalBlockHash: async () => undefined }, row!, signal);
    await expect(computed).rejects.toMatchObject({ code: "model_unknown", retryable: true });
  });

  it("changes nothing when every job is done again", async () => {
    const before = await snapshot();
    await using boss = await openBoss();
    const jobs = await database().execute<{ name: string; id: string; data: object }>(
      "select name, id, data from pgboss.job where state = 'completed'",
    );
    expect(jobs.length).toBeGreaterThanOrEqual(4);
    for (const { name, data } of jobs) await boss.boss.send(name, data);
    await until("the queues are empty", async () => (await openJobs()) === 0);
    expect(await snapshot()).toEqual(before);
  });

  it("calls no chunk unknown whose contribution is fetched while the batch is judged", async () => {
    const before = await snapshot();
    const [done] = await database().execute<{ data: object }>(
      "select data from pgboss.job where name = 'fetch-batch' limit 1",
    );
    const { sql: connection } = pipeline.world.database;
    await using boss = await openBoss();
    for (const table of [influence, score, candidate, receipt, chunk]) await database().delete(table);
    await connection.begin(async (tx) => {
      // Holds up the question which contributions are open, after the one which chunks there are.
      await tx`lock table engine.refusal in access exclusive mode`;
      await boss.boss.send("fetch-batch", done!.data);
      await until("the engine waits for the lock", async () => {
        const [row] = await database().execute<{ waiting: number }>(
          "select count(*)::int as waiting from pg_locks where relation = 'engine.refusal'::regclass and not granted",
        );
        return row!.waiting > 0;
      });
      await database().insert(chunk).values(before.chunks);
    });
    await until("both receipts are scored again", async () => (await rowsOf(score)) === 2);
    expect(await snapshot()).toEqual(before);
    expect(await rowsOf(refusal)).toBe(0);
  });

  it("does a job again whose end the database forgot in a crash", async () => {
    const before = await snapshot();
    await database().delete(influence);
    await database().delete(score);
    await database().execute(
      "update pgboss.job set state = 'active', completed_on = null, started_on = now(), heartbeat_on = now() where name = 'score-receipt'",
    );
    await until("both receipts are scored again", async () => (await rowsOf(score)) === 2);
    expect(await snapshot()).toEqual(before);
  });

  it("archives every blob the chain names, and reads from the archive what no relay serves any more", async () => {
    const metrics = async () => await (await fetch(new URL("/metrics", engine.url))).text();
    const folder = join(pipeline.environment.ARCHIVE_FOLDER!, "certificate");
    await until("contribution and batch are archived", async () => (await namesIn(folder)).length === 2);
    await until("the archive was swept", async () => /engine_archive_blobs [12]\n/.test(await metrics()));
    expect(await metrics()).toContain("tributary_engine_archive_alarms 0\n");
    const before = await snapshot();
    await using boss = await openBoss();
    const [done] = await database().execute<{ data: object }>(
      "select data from pgboss.job where name = 'fetch-contribution' limit 1",
    );
    await database().delete(chunk);
    pipeline.disperser.faults.add("not-found");
    await boss.boss.send("fetch-contribution", done!.data);
    await until("the chunks are there again", async () => (await rowsOf(chunk)) === texts.length);
    pipeline.disperser.faults.clear();
    expect(await snapshot()).toEqual(before);
    expect(await metrics()).toContain('tributary_engine_blobs_served_total{source="archive"} 1\n');
  });

  it("takes up a job that a dead engine left behind", async () => {
    await engine[Symbol.asyncDispose]();
    const [{ digest } = { digest: "0x" as Hex }] = await database()
      .select({ digest: receipt.digest })
      .from(receipt)
      .limit(1);
    const before = await snapshot();
    await database().delete(influence).where(eq(influence.receiptDigest, digest));
    await database().delete(score).where(eq(score.receiptDigest, digest));
    await using boss = await openBoss();
    await boss.boss.send("score-receipt", { eventId: "0", receiptDigest: digest, index: 0 });
    expect(await boss.boss.fetch("score-receipt")).toHaveLength(1);
    engine = await startEngine(pipeline);
    await until("the receipt is scored again", async () => (await rowsOf(score)) === 2);
    expect(await snapshot()).toEqual(before);
  });

  it("shares the queue with a second engine, and both do the same", async () => {
    const before = await snapshot();
    const [{ digest } = { digest: "0x" as Hex }] = await database()
      .select({ digest: receipt.digest })
      .from(receipt);
    await using second = await startEngine(pipeline);
    await using boss = await openBoss();
    const done = async (engine: Running) => {
      const text = await (await fetch(`${engine.url}/metrics`)).text();
      return Number(/jobs_total\{queue="score-receipt",result="completed"\} (\d+)/.exec(text)?.[1] ?? 0);
    };
    const already = await done(engine);
    const data = { eventId: "0", receiptDigest: digest, index: 0 };
    const jobs = Array.from({ length: 64 }, () => ({ data }));
    let [sent, ours, theirs] = [0, 0, 0];
    // One engine may empty the queue before the other looks.
    for (let round = 0; round < 20 && Math.min(ours, theirs) === 0; round++) {
      await boss.boss.insert("score-receipt", jobs);
      sent += jobs.length;
      await until("the queues are empty", async () => (await openJobs()) === 0);
      [ours, theirs] = [(await done(engine)) - already, await done(second)];
    }
    expect(ours + theirs).toBe(sent);
    expect(Math.min(ours, theirs)).toBeGreaterThan(0);
    expect(await snapshot()).toEqual(before);
  });

  it("scores a receipt again in a process of its own, to the same amounts, and writes nothing", async () => {
    const before = await snapshot();
    const [row] = await database().select().from(score);
    const again = async (digest: Hex) =>
      promisify(execFile)(process.execPath, [join(import.meta.dirname, "rescore.ts"), digest], {
        env: pipeline.environment,
      });
    const told = JSON.parse((await again(row!.receiptDigest)).stdout);
    expect(told).toMatchObject({ methodHash: row!.methodHash, method: row!.method, records: [] });
    expect([told.values.base, told.values.context, told.values.both].map(BigInt)).toEqual([
      row!.valueBaseWad,
      row!.valueContextWad,
      row!.valueBothWad,
    ]);
    const influences = await database()
      .select()
      .from(influence)
      .where(eq(influence.receiptDigest, row!.receiptDigest))
      .orderBy(influence.rank);
    expect(told.passages.map(({ scoreWad }: { scoreWad: string }) => BigInt(scoreWad))).toEqual(
      influences.map(({ scoreWad }) => scoreWad),
    );
    expect(await snapshot()).toEqual(before);
    const unknown = await again(keccak256(toHex("no receipt"))).catch((error) => error);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("no receipt of a settled") });
  });

  it("never works beside an engine with another method, and judges anew what no epoch holds when its own changes", async () => {
    const other = { ESTIMATOR: "leave-one-out" };
    await expect(startEngine(pipeline, other)).rejects.toThrow(OtherMethodError);
    await engine[Symbol.asyncDispose]();
    const before = await snapshot();
    const [ours] = await database().select().from(score);
    // What an epoch on chain holds under our method is none of theirs.
    await holdInEpoch(ours!.methodHash);
    const late = await startEngine(pipeline, other);
    await late[Symbol.asyncDispose]();
    expect(late.log.join("\n")).toContain('"receipts":0');
    await holdInEpoch(null);
    const second = await startEngine(pipeline, other);
    expect(second.log.join("\n")).toContain('"receipts":2');
    await until("all are scored by the other", async () => (await rowsOf(score)) === 4);
    await second[Symbol.asyncDispose]();
    await database().delete(influence).where(ne(influence.methodHash, ours!.methodHash));
    const theirs = await database().delete(score).where(ne(score.methodHash, ours!.methodHash)).returning();
    expect(theirs).toHaveLength(2);
    expect(theirs.every(({ method }) => method.includes("leave-one-out"))).toBe(true);
    // As if the other had refused one that we can score.
    const digest = ours!.receiptDigest;
    await database().delete(influence).where(eq(influence.receiptDigest, digest));
    await database().delete(score).where(eq(score.receiptDigest, digest));
    const refused = { eventId: "0", subject: `receipt:${digest}`, code: "not_ours", reason: "" };
    await database()
      .insert(refusal)
      .values({ ...refused, methodHash: theirs[0]!.methodHash });
    engine = await startEngine(pipeline);
    await until("it is scored after all", async () => (await rowsOf(score)) === 2);
    expect(await snapshot()).toEqual(before);
    expect(await rowsOf(refusal)).toBe(0);
  });

  it("keeps a job that failed for good with its reason, and counts it", async () => {
    await using boss = await openBoss();
    const data = { eventId: "0", receiptDigest: keccak256(toHex("no receipt")), index: 0 };
    const jobId = await boss.boss.send("score-receipt", data, { retryLimit: 0 });
    await until("it is a dead letter", async () => (await database().select().from(deadLetter)).length === 1);
    const [kept] = await database().select().from(deadLetter);
    expect(kept).toMatchObject({ jobId, queue: "score-receipt", data, tries: 1 });
    expect(kept!.reason).toContain("has its receipt");
    await boss.boss.deleteJob("score-receipt", jobId!);
    await database().delete(deadLetter);
  });

  it("refuses what does not match the chain, each with its reason, and goes on", async () => {
    const { sender } = pipeline;
    const chunks = [{ source: "a.md", text: "one chunk" }];
    const bytes = contribution.encode({ license: "MIT", chunks });
    const good = {
      dataRoot: contribution.dataRoot(chunks),
      items: 1,
      contentHash: payloads.contentHash(bytes),
      daCommitment: await disperse(bytes),
    };
    const unlicensed = contribution.encode({ license: "CC0-1.0", chunks });
    const nul = contribution.encode({ license: "MIT", chunks: [{ source: "a\0.md", text: "one chunk" }] });
    const wrong: Record<string, typeof good> = {
      content_hash: { ...good, contentHash: keccak256("0x01") },
      da_certificate: { ...good, daCommitment: "0xda" },
      root_mismatch: { ...good, dataRoot: keccak256("0x02") },
      totals_mismatch: { ...good, items: 2 },
      license_mismatch: {
        ...good,
        contentHash: payloads.contentHash(unlicensed),
        daCommitment: await disperse(unlicensed),
      },
    };
    const expected = new Map<string, string>();
    for (const [code, given] of Object.entries(wrong)) {
      expected.set(`contribution:${await submitContribution(sender, contributor, given)}`, code);
    }
    const nulRoot = contribution.dataRoot([{ source: "a\0.md", text: "one chunk" }]);
    const withNul = {
      ...good,
      dataRoot: nulRoot,
      contentHash: payloads.contentHash(nul),
      daCommitment: await disperse(nul),
    };
    expected.set(
      `contribution:${await submitContribution(sender, contributor, withNul)}`,
      "malformed_payload",
    );
    const fine = await submitContribution(sender, contributor, good);
    const same = { ...good, daCommitment: await disperse(bytes) };
    const copy = await submitContribution(sender, contributor, same);
    const channelId = await openChannel(pipeline, 2);
    await pipeline.world.caughtUp();
    const unsigned = await submitReceipts(channelId, 1n, { signature: `0x${"11".repeat(64)}1b` });
    expected.set(`batch:${unsigned}`, "wrong_signature");
    const stray = await submitReceipts(channelId, 2n, { chunkId: keccak256(toHex("no chunk")) });
    expected.set(`batch:${stray}`, "unknown_chunk");
    const replayed = await submitReceipts(channelId, 3n, { chargedCalls: 2n });
    expected.set(`batch:${replayed}`, "unclaimed_receipt");
    const elsewhere = "Accepted by a Datanet that the model does not use.";
    await openDatanet(sender, 2n);
    const elsewhereId = await contribute(pipeline, contributor, [elsewhere], 2n);
    const foreign = await submitReceipts(channelId, 4n, { chunkId: idOf(elsewhereId, elsewhere) });
    expected.set(`batch:${foreign}`, "chunk_of_other_datanet");
    const later = "Accepted after the batch that names it.";
    const early = await submitReceipts(channelId, 5n, { chunkId: idOf(elsewhereId + 1n, later) });
    expected.set(`batch:${early}`, "unknown_chunk");
    expect(await contribute(pipeline, contributor, [later])).toBe(elsewhereId + 1n);
    await finalise(pipeline.world);
    await until("the good ones are there", async () => (await rowsOf(chunk)) === texts.length + 4);
    await until("the others are refused", async () => (await rowsOf(refusal)) === expected.size);
    const refusals = await database().select().from(refusal);
    expect(new Map(refusals.map(({ subject, code }) => [subject, code]))).toEqual(expected);
    const stored = await database().select().from(chunk).where(eq(chunk.contributionId, fine));
    expect(stored).toHaveLength(1);
    const [copied] = await database().select().from(chunk).where(eq(chunk.contributionId, copy));
    await until("all have their class", async () => {
      const classes = await database().select().from(duplicate);
      return classes.length === texts.length + 4;
    });
    const [itsClass] = await database().select().from(duplicate).where(eq(duplicate.chunkId, copied!.id));
    expect(itsClass).toMatchObject({ firstChunkId: stored[0]!.id, noveltyWad: 0n });
    const [kept] = await database().select().from(payload).where(eq(payload.contentHash, good.contentHash));
    expect(kept?.blobKey).toBe([good, same].map(({ daCommitment }) => keyOf(daCommitment)).sort()[0]);
    expect(await database().select().from(receipt).where(gt(receipt.batchId, 1n))).toEqual([]);
    expect(await (await fetch(`${engine.url}/health`)).json()).toMatchObject({ ok: true });
    expect(await (await fetch(`${engine.url}/metrics`)).text()).toContain("tributary_engine_jobs_total");
  });

  it("goes on when its connections break, and keeps asking for a blob of which a bit was flipped on its way", async () => {
    const broken = await database().execute(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('engine', 'engine queue', 'engine mark')",
    );
    expect(broken.length).toBeGreaterThan(2);
    const id = await contribute(pipeline, contributor, ["This blob will be corrupted on its way."]);
    pipeline.disperser.faults.add("corrupt");
    try {
      await finalise(pipeline.world);
      await until("the wrong blob is noticed", async () => (await failures("another commitment")) > 0);
      expect(await database().select().from(chunk).where(eq(chunk.contributionId, id))).toEqual([]);
    } finally {
      pipeline.disperser.faults.delete("corrupt");
    }
    await until("the right blob is taken", async () => {
      const chunks = await database().select().from(chunk).where(eq(chunk.contributionId, id));
      return chunks.length === 1;
    });
    expect(await refusalOf(`contribution:${id}`)).toBeUndefined();
  });

  it("gives the same bytes when it is killed and its database breaks off in the middle of scoring", async () => {
    await until("the queues are empty", async () => (await openJobs()) === 0);
    await engine[Symbol.asyncDispose]();
    const before = await snapshot();
    await database().delete(influence);
    await database().delete(score);
    await using boss = await openBoss();
    const jobs = before.receipts.map(({ digest, index }) => ({
      data: { eventId: "0", receiptDigest: digest, index },
    }));
    await boss.boss.insert("score-receipt", jobs);
    const killed = await spawnStage(pipeline, "engine/main.ts");
    await until(
      "a receipt is being scored or was",
      async () => (await isAnyScoring()) || (await rowsOf(score)) > 0,
    );
    expect(await killed.end("SIGKILL")).toBe("SIGKILL");
    engine = await startEngine(pipeline);
    await database().execute(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('engine', 'engine queue', 'engine mark')",
    );
    await until("all are scored", async () => (await rowsOf(score)) === before.receipts.length, 60_000);
    expect(await snapshot()).toEqual(before);
  });

  it("runs as a process, dies, starts again and stops cleanly, as the node does", async () => {
    await engine[Symbol.asyncDispose]();
    const before = await snapshot();
    const [killed, node] = await Promise.all([
      spawnStage(pipeline, "engine/main.ts"),
      spawnStage(pipeline, "serving/main.ts"),
    ]);
    expect(await killed.end("SIGKILL")).toBe("SIGKILL");
    const again = await spawnStage(pipeline, "engine/main.ts");
    for (const { url } of [again, node]) expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect(await snapshot()).toEqual(before);
    expect(await Promise.all([again.end("SIGTERM"), node.end("SIGINT")])).toEqual([0, 0]);
  });
});

/** Id of the first chunk of a contribution. */
function idOf(contributionBatchId: bigint, text: string): Hex {
  return contribution.chunkId({ contributionBatchId, index: 0, textHash: contribution.textHash(text) });
}

/** What a handler is told beside a job's data. */
const task = { isLastTry: false, signal: new AbortController().signal };

function database() {
  return pipeline.world.database.db;
}

async function rowsOf(table: typeof chunk | typeof score | typeof refusal): Promise<number> {
  const [row] = await database().select({ rows: count() }).from(table);
  return row?.rows ?? 0;
}

/** Everything the engine wrote but refusals, in a fixed order. */
async function snapshot() {
  const db = database();
  return {
    chunks: await db.select().from(chunk).orderBy(chunk.id),
    duplicates: await db.select().from(duplicate).orderBy(duplicate.chunkId),
    payloads: await db.select().from(payload).orderBy(payload.contentHash),
    receipts: await db.select().from(receipt).orderBy(receipt.digest),
    candidates: await db.select().from(candidate).orderBy(candidate.receiptDigest, candidate.rank),
    scores: await db.select().from(score).orderBy(score.receiptDigest),
    influences: await db.select().from(influence).orderBy(influence.receiptDigest, influence.chunkId),
  };
}

function keyOf(daCommitment: Hex): Hex {
  const decoded = decodeCertificate(hexToBytes(daCommitment));
  if (!decoded.ok) throw new Error(decoded.reason);
  return blobKey(decoded.value.header);
}

async function refusalOf(subject: string): Promise<string | undefined> {
  const [row] = await database().select().from(refusal).where(eq(refusal.subject, subject));
  return row?.code;
}

/** Jobs that failed so far with `reason`. */
async function failures(reason: string): Promise<number> {
  const [row] = await database().execute<{ failed: number }>(
    sql`select count(*)::int as failed from pgboss.job where output ->> 'reason' like ${`%${reason}%`}`,
  );
  return row?.failed ?? 0;
}

/** As if an epoch of all blocks so far stood on chain, scored under a method, or none. Ponder's triggers are for its own. */
async function holdInEpoch(methodHash: Hex | null): Promise<void> {
  const [zero, none] = [`0x${"00".repeat(32)}`, "0x"];
  const held =
    methodHash === null
      ? sql`delete from onchain.epoch`
      : sql`
    insert into onchain.epoch (id, poster, reward_root, attribution_root, receipts_accumulator, prev_reward_root,
      root_total, from_block, to_block, method_hash, content_hash, da_ref, da_commitment, deadline, status,
      proposed_block, proposed_tx, event_id)
    values (1, ${none}, ${zero}, ${zero}, ${zero}, ${zero}, 0, 0, 1000000, ${methodHash}, ${zero}, ${zero}, ${none}, 0,
      4, 0, ${zero}, '0')`;
  await database().transaction(async (tx) => {
    await tx.execute(sql`set local session_replication_role = replica`);
    await tx.execute(held);
  });
}

async function openJobs(): Promise<number> {
  const [row] = await database().execute<{ open: number }>(
    "select count(*)::int as open from pgboss.job where state in ('created', 'retry', 'active')",
  );
  return row?.open ?? 0;
}

async function isAnyScoring(): Promise<boolean> {
  const [row] = await database().execute<{ active: number }>(
    "select count(*)::int as active from pgboss.job where name = 'score-receipt' and state = 'active'",
  );
  return row!.active > 0;
}

async function openBoss(): Promise<AsyncDisposable & { boss: PgBoss }> {
  const boss = new PgBoss({
    connectionString: pipeline.world.url,
    schema: "pgboss",
    supervise: false,
    schedule: false,
  });
  await boss.start();
  return { boss, [Symbol.asyncDispose]: () => boss.stop({ graceful: false }) };
}

async function healthOf(node: Running): Promise<{ chunks?: number }> {
  return (await (await fetch(`${node.url}/health`)).json()) as { chunks?: number };
}

function batchCount(): Promise<bigint> {
  return pipeline.sender.read<bigint>("settlementHub", "batchCount");
}

async function disperse(bytes: Uint8Array): Promise<Hex> {
  const { disperser, srs } = pipeline;
  await using client = new DisperserClient({
    url: disperser.url,
    accountKey: eigendaKey,
    chainId: 31_337n,
    srs,
    pollMs: 20,
  });
  return bytesToHex((await client.disperse(bytes)).certificate);
}

/**
 * Settle a batch of one receipt straight at the hub, as a registered node that lies would: it claims up to `calls` fees,
 * the receipt charges up to `chargedCalls` of them. Returns its id.
 */
async function submitReceipts(
  channelId: Hex,
  calls: bigint,
  lie: { signature?: Hex; chunkId?: Hex; chargedCalls?: bigint },
): Promise<bigint> {
  const { world, node, modelId } = pipeline;
  const hub = world.deployment.contracts.settlementHub.toLowerCase() as Hex;
  const scope = { chainId: 31_337n, hub };
  const issued = await createIssuer(node, nodeKey, scope).issue({
    payer: hub,
    modelId,
    adapterHashes: [],
    profileHash: modelId,
    provenanceMode: 0,
    channelId,
    cumulativeChargedWei: (lie.chargedCalls ?? calls) * feeWei,
    feeWei,
    question: "q",
    answer: "a",
    promptTokens: 1,
    answerTokenIds: [1],
    candidates: lie.chunkId === undefined ? [] : [{ chunkId: lie.chunkId, scoreMicro: 1n, inContext: true }],
    params: { maxTokens: 1, temperatureMilli: 0, topK: 0, topPMilli: 1000, seed: 0n },
    servedAt: 1n,
  });
  const signature = lie.signature ?? issued.signature;
  const bytes = receiptsCodec.encode({ ...scope, entries: [{ ...issued, signature }] });
  const held = voucher.decode(await signVoucher(pipeline, channelId, calls * feeWei));
  if (!held.ok) throw new Error(held.reason);
  const maxClaimableAmount = held.value.maxClaimableWei;
  const claim = {
    channelId,
    maxClaimableAmount,
    totalClaimed: maxClaimableAmount,
    signature: held.value.signature,
  };
  await createHubClient({
    rpcUrl: world.rpcUrl,
    chainId: 31_337n,
    hub,
    account: node,
    configOf: (channelId) => readConfig(world.database.db, channelId),
  }).submit({
    receiptsRoot: receiptsCodec.receiptsRoot([issued.digest]),
    state: "dispersed",
    sequence: 1,
    payload: bytes,
    contentHash: payloads.contentHash(bytes),
    submission: { claims: [claim], totals: receiptsCodec.modelTotals([issued.receipt]) },
    daCommitment: await disperse(bytes),
  });
  return batchCount();
}

/** None where there is no folder yet. */
function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}
