import type { Hex } from "viem";
import type { Drizzle, Transaction } from "#schema/database";
import { refusal } from "#schema/offchain/index";

/**
 * Data that is not accepted, with the reason. `code` is stable; `eventId` is the event it came with, for one receipt
 * of a batch followed by `:` and the receipt's position. `subject` is `contribution:<id>`, `batch:<id>` or `receipt:<digest>`.
 */
export type Refusal = {
  eventId: string;
  subject: string;
  code: string;
  reason: string;
  /** Of the method that judged, where another may judge otherwise: an engine with another one looks again. */
  methodHash?: Hex | undefined;
};

/** Most characters of a reason that is kept: parts of it may be a stranger's. */
const reasonCharactersMax = 500;

/** Record a refusal; a second one for the same event changes nothing. */
export async function recordRefusal(db: Drizzle | Transaction, given: Refusal): Promise<void> {
  const reason = given.reason.replaceAll("\0", "").slice(0, reasonCharactersMax);
  await db
    .insert(refusal)
    .values({ ...given, reason })
    .onConflictDoNothing();
}
