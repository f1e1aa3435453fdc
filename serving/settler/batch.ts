import type { Hex } from "viem";
import { invariant } from "#schema/errors";
import * as payload from "#settlement/blob/payload";
import type { Receipt, ReceiptScope } from "#settlement/blob/receipt";
import * as receipts from "#settlement/blob/receipts";

/** A stored answer as the settler reads it; `receipt` has big integers as decimal strings. */
export type StoredAnswer = {
  receiptDigest: Hex;
  receipt: Record<string, string | number>;
  signature: Hex;
  disclosure: Hex;
};

/** The highest voucher held for a channel. */
export type HeldVoucher = { channelId: Hex; voucherMaxWei: bigint; voucherSignature: Hex };

/** Arguments of submitBatch that follow from the receipts; amounts in wei. */
export type Submission = {
  claims: { channelId: Hex; maxClaimableAmount: bigint; totalClaimed: bigint; signature: Hex }[];
  totals: { modelId: Hex; amount: bigint; calls: number }[];
};

export type Batch = { receiptsRoot: Hex; contentHash: Hex; payload: Uint8Array; submission: Submission };

/**
 * Make the batch of these answers, given in the order served. Pure: root and payload depend on the answers alone.
 * One claim per channel, ascending by id, up to the last answer's cumulative charge; so batches must reach the chain in order.
 */
export function compose(
  scope: ReceiptScope,
  answers: readonly StoredAnswer[],
  vouchers: readonly HeldVoucher[],
): Batch {
  invariant(answers.length > 0, "a batch has receipts");
  const entries = answers.map(({ receipt, signature, disclosure }) => ({
    receipt: parseReceipt(receipt),
    signature,
    disclosure,
  }));
  const bytes = receipts.encode({ ...scope, entries });
  return {
    receiptsRoot: receipts.receiptsRoot(answers.map(({ receiptDigest }) => receiptDigest)),
    contentHash: payload.contentHash(bytes),
    payload: bytes,
    submission: {
      claims: claimsOf(
        entries.map(({ receipt }) => receipt),
        vouchers,
      ),
      totals: receipts.modelTotals(entries.map(({ receipt }) => receipt)),
    },
  };
}

/** How many of `pending` answers, oldest first, make the next batch now: all it can hold, or what an old one forces; else 0. */
export function nextBatchSize(pending: number, limits: { receiptsMax: number; isOverdue: boolean }): number {
  if (pending >= limits.receiptsMax) return limits.receiptsMax;
  return limits.isOverdue ? pending : 0;
}

/** Submission ↔ JSON with amounts as decimal strings, as the row keeps it. */
export function submissionToJson({ claims, totals }: Submission) {
  return {
    claims: claims.map((c) => ({
      ...c,
      maxClaimableAmount: c.maxClaimableAmount.toString(),
      totalClaimed: c.totalClaimed.toString(),
    })),
    totals: totals.map((t) => ({ ...t, amount: t.amount.toString() })),
  };
}

export function submissionFromJson(json: ReturnType<typeof submissionToJson>): Submission {
  return {
    claims: json.claims.map((c) => ({
      ...c,
      maxClaimableAmount: BigInt(c.maxClaimableAmount),
      totalClaimed: BigInt(c.totalClaimed),
    })),
    totals: json.totals.map((t) => ({ ...t, amount: BigInt(t.amount) })),
  };
}

function claimsOf(served: readonly Receipt[], vouchers: readonly HeldVoucher[]): Submission["claims"] {
  const totals = new Map(served.map(({ channelId, cumulativeCharged }) => [channelId, cumulativeCharged]));
  const held = new Map(vouchers.map((voucher) => [voucher.channelId, voucher]));
  return [...totals]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([channelId, totalClaimed]) => {
      const voucher = held.get(channelId);
      invariant(
        voucher !== undefined && voucher.voucherMaxWei >= totalClaimed,
        "every charge is covered by a voucher",
      );
      return {
        channelId,
        maxClaimableAmount: voucher.voucherMaxWei,
        totalClaimed,
        signature: voucher.voucherSignature,
      };
    });
}

const bigintFields = ["fee", "cumulativeCharged", "servedAt"];

function parseReceipt(stored: StoredAnswer["receipt"]): Receipt {
  const entries = Object.entries(stored).map(([name, value]) => [
    name,
    bigintFields.includes(name) ? BigInt(value) : value,
  ]);
  return Object.fromEntries(entries) as Receipt;
}
