import pc from "picocolors";
import { formatUnits } from "viem";
import type {
  ClaimNode,
  EntryNode,
  InfluenceNode,
  PayoutNode,
  ReceiptNode,
  ReceiptWithEntries,
  SpanNode,
} from "./query.ts";

/** Whom a transaction pays, one line each in the order given; the hops below are those of one of them. */
export function payoutLines(payouts: readonly PayoutNode[]): string[] {
  const totalWei = payouts.reduce((wei, { amountWei }) => wei + BigInt(amountWei), 0n);
  return [
    `${pc.bold("payouts")} ${payouts.length} in this transaction, ${open(totalWei.toString())} in all; the hops of another: --account <address>`,
    ...payouts.map(
      ({ account, amountWei, epoch }) => `  ${pc.dim(account.account)} ${open(amountWei)}, epoch ${epoch.id}`,
    ),
  ];
}

/** Lines of a payout, from the claim down to who contributed: each hop with its hash. */
export function claimLines(claim: ClaimNode): string[] {
  const { epoch, leaf, entries } = claim;
  const byReceipt = Map.groupBy(entries.nodes, (entry) => entry.receipt.digest);
  return [
    hop(
      0,
      "payout",
      claim.txHash,
      `${open(claim.amountWei)} to ${claim.account.account}, block ${claim.blockNumber}`,
    ),
    hop(
      1,
      "leaf",
      leaf?.hash ?? null,
      `${open(claim.cumulativeWei)} in all, proof of ${leaf?.proof.length ?? "?"} hashes`,
    ),
    hop(1, "reward root", epoch.rewardRoot, `epoch ${epoch.id}, ${epoch.status}`),
    hop(2, "proposed", epoch.proposedTx, ""),
    hop(2, "finalised", epoch.finalizedTx, ""),
    hop(2, "attribution", epoch.attributionRoot, "root over who got what, and why"),
    hop(2, "provenance", epoch.contentHash, "keccak of the payload in EigenDA"),
    hop(2, "certificate", epoch.daRef, "keccak of the EigenDA certificate"),
    ...leftOutLines(epoch),
    ...[...byReceipt.values()].flatMap((list) => [
      ...receiptLines(list[0]!.receipt),
      ...list.flatMap((entry) => entryLines(entry)),
    ]),
    ...more(claim.entryCount - entries.nodes.length),
  ];
}

/** What the epoch had to do without, and by what code. */
function leftOutLines({ leftOut, unavailable }: ClaimNode["epoch"]): string[] {
  const batches = leftOut.map(({ batchId, code }) => ({ subject: `batch:${batchId}`, code }));
  return [...batches, ...unavailable].map(({ subject, code }) =>
    hop(2, "left out", null, `${subject} (${code})`),
  );
}

/** Lines of one answer: its batch, and each candidate and model with what it got and why. */
export function answerLines(receipt: ReceiptWithEntries, entriesMax: number): string[] {
  const entries = receipt.entries.slice(0, entriesMax);
  return [
    ...(receipt.question === null ? [] : [`${pc.bold("question")} ${receipt.question}`]),
    ...(receipt.answer === null
      ? []
      : [`${pc.bold("answer")}   ${highlight(receipt.answer, receipt.spans)}`]),
    ...receipt.spans.flatMap(spanLines),
    ...receiptLines(receipt),
    ...receipt.scores.flatMap(({ influences }) => influences.map(influenceLine)),
    ...entries.flatMap((entry) => entryLines(entry)),
    ...more(receipt.entries.length - entries.length),
    ...(receipt.entries.length === 0 ? [pc.dim("    not paid out yet: its epoch is still open")] : []),
  ];
}

/** The answer with what it copies word for word underlined. */
function highlight(answer: string, spans: readonly SpanNode[]): string {
  const marked = new Array<boolean>(answer.length).fill(false);
  for (const { answerStart, answerEnd } of spans) marked.fill(true, answerStart, answerEnd);
  const runs = answer.match(/\S+|\s+/gu) ?? [];
  let at = 0;
  return runs
    .map((run) => {
      const isMarked = marked[at] === true;
      at += run.length;
      return isMarked ? pc.underline(run) : run;
    })
    .join("");
}

/** A span where it stands in a record: copied, whatever it moved. */
function spanLines({ sourceStart, sourceEnd, occurrenceCount, chunk }: SpanNode): string[] {
  if (chunk === null) return [];
  const { text } = chunk;
  const marked = `${text.slice(0, sourceStart)}${pc.underline(text.slice(sourceStart, sourceEnd))}${text.slice(sourceEnd)}`;
  const places = occurrenceCount > 1 ? `, in ${occurrenceCount} places` : "";
  return [hop(1, "verbatim", chunk.id, `“${marked}”${places}`)];
}

function influenceLine({
  player,
  chunkId,
  scoreWad,
  standardErrorWad,
  estimator,
  isCausal,
}: InfluenceNode): string {
  const nats = (wad: string) => Number(formatUnits(BigInt(wad), 18)).toFixed(4);
  const error = standardErrorWad === null || standardErrorWad === "0" ? "" : ` ± ${nats(standardErrorWad)}`;
  const label = isCausal === false ? ", not causal" : "";
  return hop(3, "influence", chunkId, `${player}: ${nats(scoreWad)}${error} nats, ${estimator}${label}`);
}

function receiptLines(receipt: ReceiptNode): string[] {
  const { batch, model } = receipt;
  return [
    hop(2, "receipt", receipt.digest, `fee ${open(receipt.feeWei)}, of it ${open(receipt.poolWei)} to share`),
    hop(3, "batch", batch.receiptsRoot, `receipts root of batch ${batch.id}`),
    hop(3, "settled", batch.txHash, ""),
    hop(3, "retrieved", receipt.retrievalCommit, "root over what was retrieved"),
    hop(3, "model", model.id, model.training === null ? "" : "an adapter"),
    ...trainingLines(model),
  ];
}

/** What an adapter was trained on: the payload that names its training rows. */
function trainingLines({ artifactHash, training }: ReceiptNode["model"]): string[] {
  if (training === null) return [];
  return [
    hop(4, "adapter", artifactHash, "sha256 over its files"),
    hop(4, "training", training.manifestHash, "keccak of the payload in EigenDA: rows, settings, files"),
    hop(4, "certificate", training.daRef, "keccak of the EigenDA certificate"),
    hop(4, "published", training.txHash, ""),
  ];
}

function entryLines({ role, amountWei, account, reasonText, leaf, subject, chunk }: EntryNode): string[] {
  const who = account === null ? "" : ` to ${account.account}`;
  const head = hop(3, "entry", leaf, `${role}: ${open(amountWei)}${who}; ${reasonText}`);
  if (chunk === null) return [head, hop(4, role.endsWith("owner") ? "model" : "subject", subject, "")];
  const { contribution } = chunk;
  return [
    head,
    hop(4, isRecord(role) ? "training row" : "chunk", chunk.id, pc.italic(shorten(chunk.text))),
    hop(4, "chunk leaf", chunk.leaf, "under the data root"),
    hop(
      4,
      "data root",
      contribution.dataRoot,
      `contribution ${contribution.id} to Datanet ${contribution.datanet.id}`,
    ),
    hop(4, "submitted", contribution.submittedTx, `by ${contribution.contributor.account}`),
  ];
}

/** Roles about a training record say so (settlement/blob/codes.ts). */
function isRecord(role: string): boolean {
  return role.endsWith("of a training record");
}

function more(count: number): string[] {
  return count > 0 ? [pc.dim(`    … and ${count} more entries: --all prints them`)] : [];
}

const textCharactersMax = 60;

function shorten(text: string): string {
  return text.length <= textCharactersMax ? `“${text}”` : `“${text.slice(0, textCharactersMax)}…”`;
}

function hop(depth: number, name: string, hash: string | null, detail: string): string {
  return `${"  ".repeat(depth)}${pc.bold(name.padEnd(17 - depth))} ${pc.dim(hash ?? "not yet")} ${detail}`.trimEnd();
}

function open(wei: string): string {
  return `${formatUnits(BigInt(wei), 18)} OPEN`;
}
