import { count, eq } from "drizzle-orm";
import type { JobWithMetadata } from "pg-boss";
import type { Drizzle } from "#schema/database";
import { describe } from "#schema/log";
import { deadLetter } from "#schema/offchain/index";

/** Most characters of a reason that is kept. */
const reasonCharactersMax = 500;

/** Keep a job that will not be tried again, with the reason; the newest failure of a job counts. */
export async function keepDeadLetter(
  db: Drizzle,
  { id, name, data, retryCount }: JobWithMetadata<object>,
  error: unknown,
): Promise<void> {
  const { code } = error as { code?: unknown };
  const row = {
    queue: name,
    data,
    code: typeof code === "string" ? code : "unknown",
    reason: describe(error).replaceAll("\0", "").slice(0, reasonCharactersMax),
    tries: retryCount + 1,
    failedAt: new Date(),
  };
  await db
    .insert(deadLetter)
    .values({ jobId: id, ...row })
    .onConflictDoUpdate({ target: deadLetter.jobId, set: row });
}

/** Of a job that succeeded after all. */
export async function forgetDeadLetter(db: Drizzle, jobId: string): Promise<void> {
  await db.delete(deadLetter).where(eq(deadLetter.jobId, jobId));
}

export async function countDeadLetters(db: Drizzle): Promise<number> {
  const [row] = await db.select({ rows: count() }).from(deadLetter);
  return row?.rows ?? 0;
}
