import { type Hex, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import * as leaf from "../tree/leaf.ts";
import * as tree from "../tree/tree.ts";
import { codec } from "./codec.ts";
import * as payload from "./payload.ts";
import type { Receipt, ReceiptScope } from "./receipt.ts";

/** Kind 2: the receipts of one batch in the order served. `disclosure` is decoded by disclosure.ts; empty where sealed. */
export type ReceiptsBatch = ReceiptScope & { entries: readonly ReceiptEntry[] };
export type ReceiptEntry = { receipt: Receipt; signature: Hex; disclosure: Hex };

export function encode(batch: ReceiptsBatch): Uint8Array {
  return payload.encode("receipts", body, batch);
}

/** Most receipts of one batch: bounds the work a payload of small ones can ask for. */
export const receiptsMax = 512;

/** Shape and number only: root, signatures and totals are compared by who holds the chain event. */
export function decode(bytes: Uint8Array): Decoded<ReceiptsBatch> {
  const decoded = payload.decode("receipts", body, bytes);
  if (!decoded.ok) return decoded;
  const given = decoded.value.entries.length;
  return given <= receiptsMax ? decoded : { ok: false, reason: `${given} receipts, at most ${receiptsMax}` };
}

/** Root over keccak(receiptDigest), `receiptsRoot` of BatchSettled. */
export function receiptsRoot(digests: readonly Hex[]): Hex {
  return tree.rootOf(digests.map(leaf.receipt));
}

/** Fees in wei and calls per model, ascending by model: `totals` of submitBatch, the ModelUsage events. */
export function modelTotals(receipts: readonly Receipt[]): { modelId: Hex; amount: bigint; calls: number }[] {
  const totals = new Map<Hex, { modelId: Hex; amount: bigint; calls: number }>();
  for (const { modelId, fee } of receipts) {
    const total = totals.get(modelId) ?? { modelId, amount: 0n, calls: 0 };
    totals.set(modelId, { modelId, amount: total.amount + fee, calls: total.calls + 1 });
  }
  return [...totals.values()].sort((a, b) => (a.modelId < b.modelId ? -1 : 1));
}

const body = codec(
  parseAbiParameters([
    "Body body",
    "struct Body { uint256 chainId; address hub; Entry[] entries; }",
    "struct Entry { InferenceReceipt receipt; bytes signature; bytes disclosure; }",
    "struct InferenceReceipt { bytes32 requestId; address payer; address node; bytes32 modelId; bytes32 adapterSet; bytes32 inputCommit; bytes32 outputCommit; bytes32 retrievalCommit; bytes32 paramsHash; bytes32 profileHash; uint8 provenanceMode; uint32 promptTokens; uint32 completionTokens; uint128 fee; bytes32 channelId; uint128 cumulativeCharged; uint64 servedAt; }",
  ]),
);
