import { sql } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import type { Hex } from "viem";
import type { Drizzle, Transaction } from "#schema/database";
import { rowsPerInsert } from "./constants.ts";
import { enqueue, type Jobs, type QueueName } from "./queue/queues.ts";

/** How many of each are judged again, or for the first time. */
export type Adoption = { trainings: number; adapters: number; receipts: number };

/**
 * Take over what an engine with another method left, in one transaction: its refusals of trainings and the gates it judged
 * are forgotten and made anew, and every receipt that is neither scored nor refused under ours gets a job, but for those
 * that an epoch on chain holds under another method: they stay as they were judged there.
 * To be called before jobs are taken, while no engine with another method is at work.
 */
export async function adoptMethod(db: Drizzle, boss: PgBoss, methodHash: Hex): Promise<Adoption> {
  return db.transaction(async (tx) => {
    const trainings = await forgetRefusedTrainings(tx, methodHash);
    await enqueueAll(boss, tx, "fetch-training", trainings);
    const adapters = await forgetGates(tx, methodHash);
    await enqueueAll(boss, tx, "build-store", adapters);
    const receipts = await findUnscored(tx, methodHash);
    await enqueueAll(boss, tx, "score-receipt", receipts);
    return { trainings: trainings.length, adapters: adapters.length, receipts: receipts.length };
  });
}

async function enqueueAll<Q extends QueueName>(
  boss: PgBoss,
  tx: Transaction,
  name: Q,
  jobs: readonly Jobs[Q][],
): Promise<void> {
  for (let from = 0; from < jobs.length; from += rowsPerInsert)
    await enqueue(boss, tx, name, jobs.slice(from, from + rowsPerInsert));
}

async function forgetRefusedTrainings(tx: Transaction, methodHash: Hex) {
  const rows = await tx.execute<{ event_id: string; subject: string }>(sql`
    delete from engine.refusal
    where subject like 'training:%' and method_hash <> ${methodHash}
    returning event_id, subject`);
  return rows.map((row) => ({
    eventId: row.event_id,
    modelId: row.subject.slice("training:".length) as Hex,
  }));
}

async function forgetGates(tx: Transaction, methodHash: Hex) {
  await tx.execute(sql`
    update engine.training_record r set passes_gate = null, gate_sum_micro = null, gate_count = null
    from engine.adapter a
    where a.model_id = r.model_id and a.state = 'ready' and a.method_hash is distinct from ${methodHash}`);
  const rows = await tx.execute<{ event_id: string; model_id: Hex }>(sql`
    update engine.adapter a set state = 'fetched', method_hash = null
    where a.state = 'ready' and a.method_hash is distinct from ${methodHash}
    returning a.model_id, (
      select min(m.event_id) from onchain.training_manifest m
      where m.model_id = a.model_id and m.manifest_hash = a.content_hash
    ) as event_id`);
  return rows.map((row) => ({ eventId: row.event_id, modelId: row.model_id }));
}

/** In the order of the batches. A job that waits already is not doubled. */
async function findUnscored(tx: Transaction, methodHash: Hex) {
  const isOurs = sql`not exists (
    select from onchain.epoch e
    where b.block_number > e.from_block and b.block_number <= e.to_block
      and e.status <> ${rejectedStatus} and e.method_hash <> ${methodHash})`;
  await tx.execute(sql`
    delete from engine.refusal f using engine.receipt r, onchain.batch b
    where f.subject = 'receipt:' || r.digest and b.id = r.batch_id
      and f.method_hash <> ${methodHash} and ${isOurs}`);
  const rows = await tx.execute<{ event_id: string; digest: Hex; index: number }>(sql`
    select b.event_id, r.digest, r.index from engine.receipt r
    join onchain.batch b on b.id = r.batch_id
    where ${isOurs}
      and not exists (select from engine.score s where s.receipt_digest = r.digest and s.method_hash = ${methodHash})
      and not exists (select from engine.refusal f where f.subject = 'receipt:' || r.digest)
      and not exists (
        select from pgboss.job j
        where j.name = 'score-receipt' and j.data ->> 'receiptDigest' = r.digest
          and j.state in ('created', 'retry', 'active', 'failed'))
    order by r.batch_id, r.index`);
  return rows.map((row) => ({ eventId: row.event_id, receiptDigest: row.digest, index: row.index }));
}

/** `status` of an epoch that was thrown away: its receipts wait for the next proposal. */
const rejectedStatus = 3;
