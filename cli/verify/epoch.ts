import { keccak256, stringToHex } from "viem";
import { sum } from "#schema/apportion";
import { isUnscored } from "#settlement/allocation/facts";
import * as payload from "#settlement/blob/payload";
import * as provenance from "#settlement/blob/provenance";
import * as tree from "#settlement/tree/tree";
import { BrokenLink, check, type Report } from "./link.ts";
import { type Event, retrievePayload, type Sources } from "./sources.ts";

/** A finalised epoch: its proposal on chain and its payload from DA, equal in every root and sum. */
export type CheckedEpoch = { header: Header; provenance: provenance.Provenance };
export type Header = Event<"AttributionLedger", "EpochProposed">["args"];

/** The proposals that were finalised, in order: the last before each finalisation. */
export async function finalizedHeaders(sources: Sources, toBlock: bigint): Promise<Header[]> {
  const proposed = await sources.events("AttributionLedger", "EpochProposed", toBlock);
  const finalized = await sources.events("AttributionLedger", "EpochFinalized", toBlock);
  return finalized.map(({ args: { epoch, rewardRoot } }) => {
    const header = proposed.filter((p) => p.args.epoch === epoch).at(-1)?.args;
    if (header?.rewardRoot !== rewardRoot) {
      throw new BrokenLink("epoch", `epoch ${epoch} was finalised with a root that was not proposed last`);
    }
    return header;
  });
}

/** Certificate, blob, content, both roots, both sums of one epoch. */
export async function checkEpoch(sources: Sources, header: Header, report: Report): Promise<CheckedEpoch> {
  const { epoch, daCommitment, daRef, contentHash } = header;
  check(
    report,
    "epoch",
    header.rewardRoot,
    true,
    `epoch ${epoch}, blocks (${header.fromBlock}, ${header.toBlock}]`,
  );
  const verdict = await sources.checkCertificate(daCommitment);
  const isRef = keccak256(daCommitment) === daRef;
  const detail = verdict.ok ? "daRef, inclusion and signatures" : verdict.reason;
  check(
    report,
    "provenance certificate",
    daRef,
    isRef && verdict.ok,
    isRef ? detail : "daRef is another hash",
  );
  const bytes = await retrievePayload(sources, daCommitment, "provenance blob");
  report({
    name: "provenance blob",
    ok: true,
    hash: daRef,
    detail: `${bytes.length} bytes, commitment recomputed`,
  });
  const isContent = payload.contentHash(bytes) === contentHash;
  check(
    report,
    "provenance content",
    contentHash,
    isContent,
    isContent ? "keccak of the payload" : "another content hash",
  );
  const decoded = provenance.decode(bytes);
  if (!decoded.ok) throw new BrokenLink("provenance content", decoded.reason);
  checkRoots(sources, header, decoded.value, report);
  return { header, provenance: decoded.value };
}

function checkRoots(sources: Sources, header: Header, p: provenance.Provenance, report: Report): void {
  const isSamePlace =
    p.epoch === header.epoch &&
    p.fromBlock === header.fromBlock &&
    p.toBlock === header.toBlock &&
    p.methodHash === header.methodHash;
  if (!isSamePlace)
    throw new BrokenLink("provenance content", "the payload is of another epoch, range or method");
  const isTold = p.method !== "" || p.receipts.every(isUnscored);
  if (!isTold || (p.method !== "" && keccak256(stringToHex(p.method)) !== p.methodHash))
    throw new BrokenLink("provenance content", "the method's text is not that of its hash");
  const scope = { chainId: sources.chainId, distributor: sources.contracts.rewardDistributor };
  const rewardRoot = tree.rootOf(provenance.rewardLeaves(scope, p.rewards));
  check(
    report,
    "reward root",
    rewardRoot,
    rewardRoot === header.rewardRoot,
    `over ${p.rewards.length} accounts`,
  );
  const rewardsWei = sum(p.rewards.map((r) => r.cumulativeWei));
  check(
    report,
    "reward sum",
    null,
    rewardsWei === header.rootTotal,
    `Σ rewards = ${rewardsWei} wei = rootTotal`,
  );
  const leaves = provenance.attributionLeaves(p.receipts);
  const attributionRoot = tree.rootOf(leaves);
  const isAttribution = attributionRoot === header.attributionRoot;
  check(report, "attribution root", attributionRoot, isAttribution, `over ${leaves.length} entries`);
  const wrong = p.receipts.find((r) => sum(r.entries.map((e) => e.amountWei)) !== r.poolWei + r.carriedInWei);
  const text = `Σ entries = pool + carried in, for each of ${p.receipts.length} receipts`;
  check(
    report,
    "entries sum",
    null,
    wrong === undefined,
    wrong ? `receipt ${wrong.receiptDigest} does not add up` : text,
  );
}
