import { type Hex, zeroHash } from "viem";
import * as commitments from "./commitments.ts";
import * as disclosures from "./disclosure.ts";
import { receiptEntriesMax } from "./provenance.ts";
import * as receiptCodec from "./receipt.ts";
import * as receiptsCodec from "./receipts.ts";

/** What the chain says of a batch. Amounts in wei, addresses in lowercase. */
export type BatchOnChain = {
  chainId: bigint;
  hub: Hex;
  receiptsRoot: Hex;
  node: Hex;
  calls: number;
  total: bigint;
  usage: readonly { modelId: Hex; amount: bigint; calls: number }[];
};

export type CheckedReceipt = {
  digest: Hex;
  receipt: receiptCodec.Receipt;
  signature: Hex;
  disclosure: Hex;
  disclosed: disclosures.Disclosure;
};

/** Why a batch is refused: a stable code and a sentence. */
export type Fault = { code: string; reason: string };
export type Checked = { ok: true; receipts: CheckedReceipt[] } | ({ ok: false } & Fault);

/**
 * Most entries the receipts of a batch may need in an epoch: with their 224 bytes each they fit into a blob of 1 MiB
 * beside duplicates, standings and the rewards of some thousand accounts, so that no batch can keep an epoch from being posted.
 */
export const batchEntriesMax = 3_200;

/** Widest values of receipt fields that are stored narrower: token counts, unix seconds. */
export const int32Max = 2 ** 31 - 1;
const int64Max = 2n ** 63n - 1n;

/**
 * Compare a batch's payload with what the chain says of it: scope, root, totals, each receipt's signature and
 * commitments. A batch is accepted whole or refused whole, for its money was settled whole. No I/O.
 */
export async function checkBatch(payload: Uint8Array, chain: BatchOnChain): Promise<Checked> {
  const decoded = receiptsCodec.decode(payload);
  if (!decoded.ok) return refuse("malformed_payload", decoded.reason);
  const { chainId, hub, entries } = decoded.value;
  if (chainId !== chain.chainId || hub !== chain.hub)
    return refuse("wrong_scope", "receipts are for another hub or chain");
  const digests = entries.map(({ receipt }) => receiptCodec.digest({ chainId, hub }, receipt));
  if (new Set(digests).size < digests.length)
    return refuse("duplicate_receipt", "a receipt stands twice in the batch");
  if (receiptsCodec.receiptsRoot(digests) !== chain.receiptsRoot) {
    return refuse("root_mismatch", "the receipts have another root than the chain");
  }
  const receipts: CheckedReceipt[] = [];
  for (const [index, entry] of entries.entries()) {
    const checked = await checkEntry(entry, digests[index]!, chain);
    if (!checked.ok) return refuse(checked.code, `receipt ${index}: ${checked.reason}`);
    receipts.push(checked.receipt);
  }
  const fault = totalsFault(receipts, chain);
  if (fault !== null) return refuse("totals_mismatch", fault);
  const entriesMax = receipts.reduce(
    (sum, { receipt, disclosed }) =>
      sum + receiptEntriesMax({ ...disclosed, hasAdapter: receipt.adapterSet !== zeroHash }),
    0,
  );
  if (entriesMax > batchEntriesMax)
    return refuse("batch_too_large", `may need ${entriesMax} entries, at most ${batchEntriesMax}`);
  return { ok: true, receipts };
}

/** What a settlement claimed of a channel: cumulative wei, from exclusive, to inclusive. */
export type Claimed = { fromWei: bigint; toWei: bigint };

/**
 * First receipt whose fee lies outside what the batch claimed of its channel. A receipt counts in the one batch whose
 * voucher claims cover its charge, so that none counts twice.
 */
export function unclaimed(
  receipts: readonly Pick<CheckedReceipt, "digest" | "receipt">[],
  claims: ReadonlyMap<Hex, Claimed>,
): Fault | null {
  const stray = receipts.find(({ receipt: { channelId, cumulativeCharged, fee } }) => {
    const claimed = claims.get(channelId);
    if (claimed === undefined) return true;
    const isWithin = cumulativeCharged - fee >= claimed.fromWei && cumulativeCharged <= claimed.toWei;
    return !isWithin || cumulativeCharged === claimed.fromWei;
  });
  if (stray === undefined) return null;
  const { channelId, cumulativeCharged } = stray.receipt;
  const reason = `receipt ${stray.digest} charges channel ${channelId} to ${cumulativeCharged} wei, which the batch does not claim`;
  return { code: "unclaimed_receipt", reason };
}

/** Claims of one settlement, in log order, as the range of each channel. */
export function claimedRanges(
  claims: readonly { channelId: Hex; claimAmount: bigint; newTotalClaimed: bigint }[],
): Map<Hex, Claimed> {
  const ranges = new Map<Hex, Claimed>();
  for (const { channelId, claimAmount, newTotalClaimed } of claims) {
    const fromWei = ranges.get(channelId)?.fromWei ?? newTotalClaimed - claimAmount;
    ranges.set(channelId, { fromWei, toWei: newTotalClaimed });
  }
  return ranges;
}

type Entry = receiptsCodec.ReceiptEntry;

async function checkEntry({ receipt, signature, disclosure }: Entry, digest: Hex, chain: BatchOnChain) {
  if (receipt.node !== chain.node) return refuse("wrong_node", "names another node than submitted the batch");
  if ((await receiptCodec.signer(digest, signature)) !== receipt.node)
    return refuse("wrong_signature", "is not signed by its node");
  const isWide =
    receipt.promptTokens > int32Max || receipt.completionTokens > int32Max || receipt.servedAt > int64Max;
  if (isWide) return refuse("malformed_receipt", "has token counts or a time beyond any real one");
  if (receipt.provenanceMode !== 0) return refuse("mode_unsupported", "is not in provenance mode public");
  const disclosed = disclosures.decode(disclosure);
  if (!disclosed.ok) return refuse("malformed_disclosure", disclosed.reason);
  const { value } = disclosed;
  const fault = commitments.disclosureFault(receipt, value);
  if (fault !== null) return refuse("disclosure_mismatch", `its disclosure does not open ${fault}`);
  if (value.answerTokenIds.length !== receipt.completionTokens)
    return refuse("disclosure_mismatch", "counts its tokens wrongly");
  if (`${value.question}${value.answer}`.includes("\0"))
    return refuse("malformed_disclosure", "holds a NUL character");
  if (value.candidates.filter(({ inContext }) => inContext).length > disclosures.contextMax) {
    return refuse("context_too_large", `has more than ${disclosures.contextMax} chunks in context`);
  }
  const isRepeating = new Set(value.candidates.map(({ chunkId }) => chunkId)).size < value.candidates.length;
  if (isRepeating) return refuse("malformed_disclosure", "names a chunk twice");
  return { ok: true as const, receipt: { digest, receipt, signature, disclosure, disclosed: value } };
}

function totalsFault(checked: readonly CheckedReceipt[], chain: BatchOnChain): string | null {
  const receipts = checked.map(({ receipt }) => receipt);
  const total = receipts.reduce((sum, { fee }) => sum + fee, 0n);
  if (receipts.length !== chain.calls || total !== chain.total) {
    return `${receipts.length} receipts for ${total} wei, the chain has ${chain.calls} for ${chain.total}`;
  }
  const totals = receiptsCodec.modelTotals(receipts);
  const isSame =
    totals.length === chain.usage.length &&
    totals.every(({ modelId, amount, calls }) =>
      chain.usage.some((used) => used.modelId === modelId && used.amount === amount && used.calls === calls),
    );
  return isSame ? null : "the models' totals differ from the chain's";
}

function refuse(code: string, reason: string) {
  return { ok: false as const, code, reason };
}
