import type { Hex } from "viem";
import * as commitments from "#settlement/blob/commitments";
import * as disclosure from "#settlement/blob/disclosure";
import * as payload from "#settlement/blob/payload";
import * as provenance from "#settlement/blob/provenance";
import * as receipt from "#settlement/blob/receipt";
import * as receipts from "#settlement/blob/receipts";
import * as tree from "#settlement/tree/tree";
import type { CheckedEpoch, Header } from "./epoch.ts";
import { BrokenLink, CannotCheck, check, type LinkName, type Report, WrongBytes } from "./link.ts";
import { type Event, retrievePayload, type Sources } from "./sources.ts";

export type Settled = Event<"SettlementHub", "BatchSettled">;
type Usage = Event<"SettlementHub", "ModelUsage">["args"];

/** A batch with the receipts its blob holds; none where the epoch left it out. */
export type CheckedBatch = { settled: Settled; usage: readonly Usage[]; receipts: OpenedReceipt[] };
export type OpenedReceipt = { digest: Hex; receipt: receipt.Receipt; disclosed: disclosure.Disclosure };

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
  if (scored.length === 0)
    return { settled, usage, receipts: await checkLeftOut(sources, settled, usage, report) };
  const opened = await openBatch(sources, settled, usage, report);
  const isSame = scored.map((r) => r.receiptDigest).join() === opened.map((r) => r.digest).join();
  if (!isSame)
    throw new BrokenLink("allocation", `batch ${batchId}: the epoch has other receipts than its ${calls}`);
  return { settled, usage, receipts: opened };
}

/**
 * A batch without receipts in the epoch must be one whose blob is bad: its pool is carried. A relay's wrong bytes do not
 * show that: whoever left the batch out may run the relay.
 */
async function checkLeftOut(sources: Sources, settled: Settled, usage: Usage[], report: Report): Promise<[]> {
  const { batchId } = settled.args;
  try {
    await openBatch(sources, settled, usage, () => undefined);
  } catch (error) {
    if (!(error instanceof BrokenLink)) throw error;
    if (error instanceof WrongBytes)
      throw new CannotCheck(
        `Batch ${batchId} was left out, and its blob cannot be had: ${error.message}`,
        error,
      );
    const detail = `batch ${batchId} left out: ${error.message}; its pool is carried`;
    report({ name: "receipts blob", ok: true, hash: settled.args.receiptsRoot, detail });
    return [];
  }
  throw new CannotCheck(
    `Batch ${batchId} was left out of the epoch for a reason that this command does not recompute.`,
  );
}

async function openBatch(
  sources: Sources,
  settled: Settled,
  usage: Usage[],
  report: Report,
): Promise<OpenedReceipt[]> {
  const { batchId, daCommitment, contentHash, receiptsRoot, node } = settled.args;
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
  const decoded = receipts.decode(bytes);
  if (!decoded.ok) throw new BrokenLink("receipts blob", decoded.reason);
  const scope = { chainId: sources.chainId, hub: sources.contracts.settlementHub };
  const { entries } = decoded.value;
  const digests = entries.map((entry) => receipt.digest(scope, entry.receipt));
  const root = receipts.receiptsRoot(digests);
  check(report, "receipts root", root, root === receiptsRoot, `over ${entries.length} receipts`);
  const signers = await Promise.all(entries.map((entry, i) => receipt.signer(digests[i]!, entry.signature)));
  const unsigned = signers.findIndex((signer) => signer !== node.toLowerCase());
  const signedText = `each of ${entries.length} by node ${node}`;
  check(
    report,
    "receipt signatures",
    null,
    unsigned < 0,
    unsigned < 0 ? signedText : `receipt ${digests[unsigned]} is not`,
  );
  checkTotals(entries, settled, usage, report);
  return entries.map((entry, i) => openReceipt(entry, digests[i]!));
}

function checkTotals(
  entries: readonly receipts.ReceiptEntry[],
  settled: Settled,
  usage: Usage[],
  report: Report,
) {
  const totals = receipts.modelTotals(entries.map((entry) => entry.receipt));
  const onChain = usage.map(({ modelId, amount, calls }) => `${modelId} ${amount} ${calls}`).sort();
  const ours = totals.map(({ modelId, amount, calls }) => `${modelId} ${amount} ${calls}`).sort();
  const totalWei = totals.reduce((wei, { amount }) => wei + amount, 0n);
  const isSame = ours.join() === onChain.join() && totalWei === settled.args.total;
  check(
    report,
    "fee totals",
    null,
    isSame,
    `Σ fees = ${totalWei} wei = ModelUsage of batch ${settled.args.batchId}`,
  );
}

function openReceipt(
  { receipt: given, disclosure: bytes }: receipts.ReceiptEntry,
  digest: Hex,
): OpenedReceipt {
  const link: LinkName = "disclosures";
  const decoded = disclosure.decode(bytes);
  if (!decoded.ok) throw new BrokenLink(link, `receipt ${digest}: ${decoded.reason}`);
  const fault = commitments.disclosureFault(given, decoded.value);
  if (fault !== null) throw new BrokenLink(link, `receipt ${digest}: the disclosure does not open ${fault}`);
  return { digest, receipt: given, disclosed: decoded.value };
}
