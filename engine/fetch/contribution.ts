import { eq } from "drizzle-orm";
import type { PgBoss } from "pg-boss";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { invariant } from "#schema/errors";
import { chunk } from "#schema/offchain/index";
import * as contributions from "#settlement/blob/contribution";
import { kinds } from "#settlement/blob/payload";
import * as leaf from "#settlement/tree/leaf";
import { rowsPerInsert } from "../constants.ts";
import { enqueue } from "../queue/queues.ts";
import type { Task } from "../queue/run-jobs.ts";
import { recordRefusal } from "../refusal.ts";
import { type BlobReader, fetchPayload, keepPayload } from "./payload.ts";
import type { Posted } from "./posted.ts";

type Row = typeof onchain.contribution.$inferSelect;

type ContributionParts = { db: Drizzle; boss: PgBoss; reader: BlobReader; posted: Posted };

/**
 * Fetch an accepted contribution and write its chunks, or record why it is refused; either way it can be classified now.
 * Where the epoch of its block is final, that epoch's word on whether the blob could be had is ours. Doing it again
 * changes nothing.
 */
export async function fetchContribution(
  { db, boss, reader, posted }: ContributionParts,
  { data: { eventId, contributionId }, isLastTry }: Task<"fetch-contribution">,
): Promise<void> {
  const [row] = await db
    .select()
    .from(onchain.contribution)
    .where(eq(onchain.contribution.id, BigInt(contributionId)));
  invariant(row !== undefined, `a final resolution has its contribution ${contributionId}`);
  const subject = `contribution:${contributionId}`;
  const refuse = (code: string, reason: string) =>
    db.transaction(async (tx) => {
      await recordRefusal(tx, { eventId, subject, code, reason });
      await enqueue(boss, tx, "classify-chunks", [{ contributionId }]);
    });
  const word = await posted.wordOn(subject, row.resolvedBlock!, isLastTry);
  if (word?.code) return refuse(word.code, `whoever posted epoch ${word.epochId} could not have its blob`);
  // What a final epoch had is not given up: a dead letter says that it is missing here.
  const fetched = await fetchPayload(reader, row, isLastTry && word === null);
  if (!fetched.ok) return refuse(fetched.code, fetched.reason);
  const decoded = contributions.decode(fetched.bytes);
  if (!decoded.ok) return refuse("malformed_payload", decoded.reason);
  const fault = contributions.fault(decoded.value, row);
  if (fault !== null) return refuse(...fault);
  await db.transaction(async (tx) => {
    await keepPayload(tx, kinds.contribution, row.contentHash, fetched);
    const chunks = chunkRows(decoded.value, row);
    for (let from = 0; from < chunks.length; from += rowsPerInsert) {
      await tx
        .insert(chunk)
        .values(chunks.slice(from, from + rowsPerInsert))
        .onConflictDoNothing();
    }
    await enqueue(boss, tx, "classify-chunks", [{ contributionId }]);
  });
}

function chunkRows({ chunks }: contributions.Contribution, row: Row) {
  return chunks.map(({ source, text }, index) => {
    const textHash = contributions.textHash(text);
    return {
      id: contributions.chunkId({ contributionBatchId: row.id, index, textHash }),
      contributionId: row.id,
      datanetId: row.datanetId,
      index,
      contributor: row.contributor,
      source,
      text,
      textHash,
      leaf: leaf.chunk({ index, source, text }),
    };
  });
}
