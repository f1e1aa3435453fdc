import { hexToBytes } from "viem";
import { contentHash } from "./blob/payload.ts";
import * as provenance from "./blob/provenance.ts";
import type { Proposal } from "./ledger.ts";

/**
 * Batches that the poster of an epoch left out because their blobs could not be had: a judgement of its day, which whoever
 * computes the epoch later adopts. Other codes come out the same for everyone and are adopted from nobody.
 * None where the payload cannot be had either: then the comparison with the chain says what differs.
 */
export async function adoptable(
  retrieve: ((certificate: Uint8Array) => Promise<Uint8Array>) | null,
  proposal: Pick<Proposal, "daCommitment" | "contentHash">,
): Promise<provenance.LeftOut[]> {
  if (retrieve === null) return [];
  const payload = await retrieve(hexToBytes(proposal.daCommitment));
  if (contentHash(payload) !== proposal.contentHash) return [];
  const decoded = provenance.decode(payload);
  if (!decoded.ok) return [];
  return decoded.value.leftOut.filter(({ code }) => provenance.availabilityCodes.includes(code));
}
