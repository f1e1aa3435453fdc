import { type Hex, hexToBytes } from "viem";
import { isUnscored } from "./allocation/facts.ts";
import { contentHash } from "./blob/payload.ts";
import * as provenance from "./blob/provenance.ts";
import type { Proposal } from "./ledger.ts";

/**
 * What the poster of an epoch could not have: judgements of its day, which whoever computes the epoch later adopts. Other
 * codes come out the same for everyone and are adopted from nobody.
 */
export type Adopted = {
  /** Batches without receipts. */
  leftOut: readonly provenance.LeftOut[];
  unavailable: readonly provenance.Unavailable[];
  /** Receipts without a score, of models whose training could not be had. */
  unscored: ReadonlySet<Hex>;
};

export const nothingAdopted: Adopted = { leftOut: [], unavailable: [], unscored: new Set() };

/** None where the payload cannot be had either: then the comparison with the chain says what differs. */
export async function adoptable(
  retrieve: ((certificate: Uint8Array) => Promise<Uint8Array>) | null,
  proposal: Pick<Proposal, "daCommitment" | "contentHash">,
): Promise<Adopted> {
  if (retrieve === null) return nothingAdopted;
  const payload = await retrieve(hexToBytes(proposal.daCommitment));
  if (contentHash(payload) !== proposal.contentHash) return nothingAdopted;
  const decoded = provenance.decode(payload);
  if (!decoded.ok) return nothingAdopted;
  const { leftOut, unavailable, receipts } = decoded.value;
  const untrained = new Set(unavailable.map(({ subject }) => subject));
  const unscored = receipts.filter((r) => isUnscored(r) && untrained.has(`training:${r.modelId}`));
  return {
    leftOut: leftOut.filter(({ code }) => provenance.availabilityCodes.includes(code)),
    unavailable,
    unscored: new Set(unscored.map(({ receiptDigest }) => receiptDigest)),
  };
}

/** What was adopted, for the log. */
export function describeAdopted({ leftOut, unavailable }: Adopted): string {
  const subjects = [
    ...leftOut.map(({ batchId }) => `batch ${batchId}`),
    ...unavailable.map(({ subject }) => subject),
  ];
  return subjects.map((subject) => `, ${subject} left out by the poster's judgement`).join("");
}
