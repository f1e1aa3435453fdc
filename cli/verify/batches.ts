import type { Hex } from "viem";
import type { CheckedReceipt } from "#settlement/blob/batch";
import * as batch from "#settlement/blob/batch";
import * as payload from "#settlement/blob/payload";
import * as provenance from "#settlement/blob/provenance";
import * as tree from "#settlement/tree/tree";
import type { CheckedEpoch, Header } from "./epoch.ts";
import { BrokenLink, CannotCheck, check, type LinkName, type Report, WrongBytes } from "./link.ts";
import { type Event, retrievePayload, type Sources } from "./sources.ts";

export type Settled = Event<"SettlementHub", "BatchSettled">;
type Usage = Event<"SettlementHub", "ModelUsage">["args"];

/** A batch with the receipts its blob holds; none where the epoch left it out. */
export type CheckedBatch = { settled: Settled; usage: readonly Usage[]; receipts: CheckedReceipt[] };

/** The batches of an epoch's blocks: all of them and no other stand in the accumulator and in the payload. */
export async function checkAccumulator(
  sources: Sources,
  epoch: CheckedEpoch,
  previous: Header | undefined,
  report: Report,
): Promise<Settled[]> {
  const { fromBlock, toBlock, receiptsAccumulator } = epoch.header;
  const all = await sources.events("SettlementHub", "BatchSettled", toBlock);
  const settled = all.filter(({ blockNumber }) => blockNumber > fromBlock);
  const roots = settled.map(({ args }) => args.receiptsRoot);
  const computed = provenance.receiptsAccumulator(previous?.receiptsAccumulator ?? tree.zeroRoot, roots);
  const isSame =
    computed === receiptsAccumulator &&
    fromBlock === (previous?.toBlock ?? 0n) &&
    roots.join() === epoch.provenance.receiptsRoots.join();
  check(
    report,
    "receipts accumulator",
    computed,
    isSame,
    `${roots.length} batches of BatchSettled, in log order`,
  );
  return settled;
}

/** Certificate, blob, root, every signature, fee totals and disclosures of one batch. */
export async function checkBatch(
  sources: Sources,
  settled: Settled,
  epoch: CheckedEpoch,
  report: Report,
): Promise<CheckedBatch> {
  const { batchId, calls } = settled.args;
  const usage = (await sources.events("SettlementHub", "ModelUsage", settled.blockNumber))
    .map(({ args }) => args)
    .filter((args) => args.batchId === batchId);
  const scored = epoch.provenance.receipts.filter((r) => r.batchId === batchId);
  const leftOut = epoch.provenance.leftOut.find((one) => one.batchId === batchId);
  if (scored.length > 0 === (leftOut !== undefined)) {
    const fault = leftOut
      ? "is left out, and yet has receipts"
      : "has no receipts, and is not said to be left out";
    throw new BrokenLink("allocation", `batch ${batchId} ${fault}`);
  }
  if (leftOut !== undefined)
    return { settled, usage, receipts: await checkLeftOut(sources, { settled, usage, ...leftOut }, report) };
  const opened = await openBatch(sources, settled, usage, report);
  const isSame = scored.map((r) => r.receiptDigest).join() === opened.map((r) => r.digest).join();
  if (!isSame)
    throw new BrokenLink("allocation", `batch ${batchId}: the epoch has other receipts than its ${calls}`);
  return { settled, usage, receipts: opened };
}

/**
 * A batch without receipts in the epoch must be one that is refused, by the code the epoch gives: its pool is carried.
 * That its blob could not be had when the epoch was computed is the poster's word: it may have turned up since.
 */
async function checkLeftOut(
  sources: Sources,
  { settled, usage, code }: { settled: Settled; usage: Usage[]; code: string },
  report: Report,
): Promise<[]> {
  const { batchId, receiptsRoot } = settled.args;
  const tell = (reason: string) => {
    const detail = `batch ${batchId} left out as ${code}: ${reason}; its pool is carried`;
    report({ name: "receipts blob", ok: true, hash: receiptsRoot, detail });
  };
  if (provenance.availabilityCodes.includes(code)) {
    tell("the poster's word, taken as it is");
    return [];
  }
  try {
    await openBatch(sources, settled, usage, () => undefined);
  } catch (error) {
    if (!(error instanceof BrokenLink)) throw error;
    if (error instanceof WrongBytes)
      throw new CannotCheck(
        `Batch ${batchId} was left out, and its blob cannot be had: ${error.message}`,
        error,
      );
    if (error instanceof RefusedBatch && error.faultCode !== code)
      throw new BrokenLink(
        "receipts blob",
        `batch ${batchId} was left out as ${code}, but is ${error.faultCode}`,
      );
    tell(error.message);
    return [];
  }
  if (!codesOfChunks.includes(code))
    throw new BrokenLink("receipts blob", `batch ${batchId} was left out as ${code}, but it is well-formed`);
  throw new CannotCheck(
    `Batch ${batchId} was left out of the epoch as ${code}. Whether its receipts name chunks that nobody ` +
      "contributed takes every contribution: `tributary rebuild` checks that.",
  );
}

/** Codes of the one judgement that takes every contribution. */
const codesOfChunks = ["unknown_chunk", "chunk_of_other_datanet"];

/** A batch that the engine's own rules refuse. */
class RefusedBatch extends BrokenLink {
  readonly faultCode: string;
  constructor(batchId: bigint, { code, reason }: batch.Fault) {
    super(linkOf[code] ?? "receipts blob", `batch ${batchId}: ${reason}`);
    this.faultCode = code;
  }
}

/** The link a fault of the batch's payload breaks; "receipts blob" where it is malformed. */
const linkOf: Record<string, LinkName> = {
  root_mismatch: "receipts root",
  wrong_node: "receipt signatures",
  wrong_signature: "receipt signatures",
  totals_mismatch: "fee totals",
  unclaimed_receipt: "fee totals",
  disclosure_mismatch: "disclosures",
  malformed_disclosure: "disclosures",
  context_too_large: "disclosures",
};

/** By the rules the engine judges a batch by, but for those that take every contribution: which chunks there are. */
async function openBatch(
  sources: Sources,
  settled: Settled,
  usage: Usage[],
  report: Report,
): Promise<CheckedReceipt[]> {
  const { batchId, daCommitment, contentHash, receiptsRoot, node, calls, total } = settled.args;
  const verdict = await sources.checkCertificate(daCommitment);
  check(
    report,
    "receipts certificate",
    contentHash,
    verdict.ok,
    verdict.ok ? `batch ${batchId}` : verdict.reason,
  );
  const bytes = await retrievePayload(sources, daCommitment, "receipts blob");
  const isContent = payload.contentHash(bytes) === contentHash;
  check(
    report,
    "receipts blob",
    contentHash,
    isContent,
    `batch ${batchId}, ${bytes.length} bytes, commitment recomputed`,
  );
  const checked = await batch.checkBatch(bytes, {
    chainId: sources.chainId,
    hub: sources.contracts.settlementHub.toLowerCase() as Hex,
    receiptsRoot,
    node: node.toLowerCase() as Hex,
    calls,
    total,
    usage,
  });
  const fault = checked.ok
    ? batch.unclaimed(checked.receipts, await readClaims(sources, settled))
    : { code: checked.code, reason: checked.reason };
  if (!checked.ok || fault !== null) throw new RefusedBatch(batchId, fault!);
  check(report, "receipts root", receiptsRoot, true, `over ${calls} receipts`);
  check(report, "receipt signatures", null, true, `each of ${calls} by node ${node}`);
  check(report, "fee totals", null, true, `Σ fees = ${total} wei = ModelUsage of batch ${batchId}`);
  return checked.receipts;
}

/** What the settlement claimed of each channel: the claims of its transaction since the settlement before it. */
async function readClaims(sources: Sources, { blockNumber, txHash, logIndex }: Settled) {
  const [claimed, others] = await Promise.all([
    sources.events("ChannelEscrow", "Claimed", blockNumber),
    sources.events("SettlementHub", "BatchSettled", blockNumber),
  ]);
  const isBefore = (event: { txHash: Hex; logIndex: number }) =>
    event.txHash === txHash && event.logIndex < logIndex;
  const from = Math.max(-1, ...others.filter(isBefore).map((event) => event.logIndex));
  const ours = claimed.filter((event) => isBefore(event) && event.logIndex > from);
  return batch.claimedRanges(ours.map(({ args }) => args));
}
