import { and, asc, eq, gt, lte } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { readEvent } from "#schema/events";
import { chunk, cursor, duplicate, refusal } from "#schema/offchain/index";
import { classesPerTurn, rowsPerInsert } from "./constants.ts";
import { ClassIndex, type Membership } from "./duplicates/classes.ts";
import { noveltyWad } from "./duplicates/priority.ts";
import { acceptedOutcome, cursorName } from "./intake.ts";

/** Takes contributions in the order of their registration. One per process: it remembers the shingles it has seen. */
export type Classifier = {
  /**
   * Write the classes of the next accepted contributions, in the order of ContributionResolved in the log, up to the
   * first that is neither fetched nor refused. At most `classesPerTurn` contributions; true where there may be more.
   * A class depends on what was registered before alone, so doing it again, or in two engines at once, writes the same.
   */
  advance: () => Promise<boolean>;
};

export function createClassifier(db: Drizzle): Classifier {
  const index = new ClassIndex();
  /** Event id of the last contribution in the index; all of this is read again after a start. */
  let position = "";
  /** Of the contribution after it: what is in the index and not yet written, where the database or the index failed. */
  let unwritten: Membership[] = [];
  // Turns follow one another: the index takes contributions one at a time.
  let turn: Promise<boolean> = Promise.resolve(false);
  const advance = async (): Promise<boolean> => {
    const next = await nextContributions(db, position);
    for (const { eventId, contributionId } of next) {
      const chunks = await readContribution(db, contributionId);
      if (chunks === "open") return false;
      for (const record of chunks.slice(unwritten.length)) unwritten.push(index.add(record));
      await db.transaction((tx) => writeClasses(tx, unwritten));
      unwritten = [];
      position = eventId;
    }
    return next.length === classesPerTurn;
  };
  return {
    advance: () => {
      turn = turn.catch(() => false).then(advance);
      return turn;
    },
  };
}

/** Contributions accepted in final blocks, those that the engine has consumed, after an event. */
async function nextContributions(db: Drizzle, position: string) {
  const { event } = onchain;
  const [consumed] = await db.select().from(cursor).where(eq(cursor.name, cursorName));
  const found: { eventId: string; contributionId: bigint }[] = [];
  for (let from = position; found.length < classesPerTurn; ) {
    const rows = await db
      .select()
      .from(event)
      .where(
        and(
          eq(event.contract, "DatanetRegistry"),
          eq(event.name, "ContributionResolved"),
          gt(event.id, from),
          lte(event.id, consumed?.lastEventId ?? ""),
        ),
      )
      .orderBy(asc(event.id))
      .limit(classesPerTurn);
    for (const row of rows) {
      const resolved = readEvent(row, "DatanetRegistry", "ContributionResolved")!;
      if (resolved.outcome === acceptedOutcome)
        found.push({ eventId: row.id, contributionId: resolved.batchId });
    }
    if (rows.length < classesPerTurn) break;
    from = rows.at(-1)!.id;
  }
  return found.slice(0, classesPerTurn);
}

/** Its chunks in order; none where it is refused; "open" where it is still being fetched. */
async function readContribution(db: Drizzle, id: bigint): Promise<{ id: Hex; text: string }[] | "open"> {
  const chunks = await db
    .select({ id: chunk.id, text: chunk.text })
    .from(chunk)
    .where(eq(chunk.contributionId, id))
    .orderBy(asc(chunk.index));
  if (chunks.length > 0) return chunks;
  const [refused] = await db
    .select({ id: refusal.eventId })
    .from(refusal)
    .where(eq(refusal.subject, `contribution:${id}`));
  return refused === undefined ? "open" : [];
}

async function writeClasses(tx: Transaction, memberships: readonly Membership[]): Promise<void> {
  const rows = memberships.map((member) => ({
    chunkId: member.id as Hex,
    firstChunkId: member.classId as Hex,
    noveltyWad: noveltyWad(member),
  }));
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    await tx
      .insert(duplicate)
      .values(rows.slice(from, from + rowsPerInsert))
      .onConflictDoNothing();
  }
}
