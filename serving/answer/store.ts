import { and, count, desc, eq, lte, sql } from "drizzle-orm";
import type { Hex } from "viem";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { answer, channelState } from "#schema/offchain/index";
import type { Voucher } from "../payment/voucher.ts";
import type { IssuedReceipt } from "../receipt.ts";
import type { Completion } from "./answer.ts";

/** Any number that nothing else in this database locks: answers are numbered one after the other. */
const answerLock = 5_170_001;

/** Charged so far on a channel by our books, in wei; zero for a channel not seen. */
export async function readCharged(db: Drizzle, channelId: Hex): Promise<bigint> {
  const [row] = await db.select().from(channelState).where(eq(channelState.channelId, channelId));
  return row?.chargedWei ?? 0n;
}

/** The last answer on a channel that a voucher for `maxWei` pays for, or null. */
export async function findAnswerWithin(db: Drizzle, channelId: Hex, maxWei: bigint) {
  const [row] = await db
    .select({
      cumulativeChargedWei: answer.cumulativeChargedWei,
      modelId: answer.modelId,
      receipt: answer.receipt,
      response: answer.response,
    })
    .from(answer)
    .where(and(eq(answer.channelId, channelId), lte(answer.cumulativeChargedWei, maxWei)))
    .orderBy(desc(answer.cumulativeChargedWei))
    .limit(1);
  return row ?? null;
}

export type Charge = { voucher: Voucher; chargedBeforeWei: bigint; feeWei: bigint };

/**
 * Write answer, receipt and charge in one transaction: either all of them exist or none.
 * `issue` signs with the answer's number, which counts answers from 1 without gaps; it does no I/O. A crash before
 * the commit leaves the number, and with a fixed clock the receipt, to the next answer.
 * @throws ChargeConflictError if the channel was charged by someone else meanwhile. Retryable.
 */
export async function commitAnswer(
  db: Drizzle,
  charge: Charge,
  issue: (number: bigint) => Promise<{ issued: IssuedReceipt; response: Completion }>,
): Promise<Completion> {
  const { voucher, chargedBeforeWei, feeWei } = charge;
  return db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${answerLock})`);
    const [counted] = await tx.select({ answers: count() }).from(answer);
    const { issued, response } = await issue(BigInt(counted?.answers ?? 0) + 1n);
    await tx.insert(answer).values({
      receiptDigest: issued.digest,
      channelId: voucher.channelId,
      modelId: issued.receipt.modelId,
      cumulativeChargedWei: issued.receipt.cumulativeCharged,
      feeWei,
      receipt: stringsOf(issued.receipt),
      signature: issued.signature,
      disclosure: issued.disclosure,
      response,
    });
    const chargedWei = chargedBeforeWei + feeWei;
    const raised = await tx
      .insert(channelState)
      .values({
        channelId: voucher.channelId,
        chargedWei,
        voucherMaxWei: voucher.maxClaimableWei,
        voucherSignature: voucher.signature,
      })
      .onConflictDoUpdate({
        target: channelState.channelId,
        set: {
          chargedWei,
          voucherMaxWei: sql`greatest(${channelState.voucherMaxWei}, excluded.voucher_max_wei)`,
          voucherSignature: sql`case when excluded.voucher_max_wei > ${channelState.voucherMaxWei} then excluded.voucher_signature else ${channelState.voucherSignature} end`,
        },
        setWhere: lte(channelState.chargedWei, chargedBeforeWei),
      })
      .returning({ channelId: channelState.channelId });
    if (raised.length === 0) throw new ChargeConflictError(voucher.channelId);
    return response;
  });
}

/** Receipt as the row keeps it: big integers as decimal strings. Read back by settler/batch.ts. */
function stringsOf(receipt: IssuedReceipt["receipt"]): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(receipt).map(([name, value]) => [
      name,
      typeof value === "bigint" ? value.toString() : value,
    ]),
  );
}

export class ChargeConflictError extends PipelineError {
  override readonly name = "ChargeConflictError";
  constructor(channelId: Hex) {
    super(`channel ${channelId} was charged meanwhile. Repeat the request with a new voucher.`, {
      code: "charge_conflict",
      retryable: true,
    });
  }
}
