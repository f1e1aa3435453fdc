import { type Hex, hexToBytes, keccak256 } from "viem";
import { blobKey, decodeCertificate, EigenDaError } from "#eigenda/index";
import type { Transaction } from "#schema/database";
import { payload as payloads } from "#schema/offchain/index";

/** Reads a payload from DA by its certificate, checked against the certificate's commitment. Throws EigenDaError. */
export type Retrieve = (certificate: Uint8Array) => Promise<Uint8Array>;

export type Fetched =
  | { ok: true; bytes: Uint8Array; blobKey: Hex }
  | { ok: false; code: string; reason: string };

/**
 * Fetch what a certificate on chain stands for. Two checks make it true: the blob matches the certificate's KZG
 * commitment, and the payload's hash is the one on chain. A failure that may pass is thrown, unless this was the last
 * try. A wrong answer (`mismatch`) may pass: it is a relay's fault, and another reader may have been given the blob.
 */
export async function fetchPayload(
  retrieve: Retrieve,
  onChain: { daCommitment: Hex; contentHash: Hex },
  isLastTry: boolean,
): Promise<Fetched> {
  const certificate = hexToBytes(onChain.daCommitment);
  const decoded = decodeCertificate(certificate);
  if (!decoded.ok) return { ok: false, code: "da_certificate", reason: decoded.reason };
  try {
    const bytes = await retrieve(certificate);
    const contentHash = keccak256(bytes);
    if (contentHash !== onChain.contentHash) {
      return {
        ok: false,
        code: "content_hash",
        reason: `payload hashes to ${contentHash}, the chain has ${onChain.contentHash}`,
      };
    }
    return { ok: true, bytes, blobKey: blobKey(decoded.value.header) };
  } catch (error) {
    if (!(error instanceof EigenDaError)) throw error;
    const mayPass = error.retryable || error.kind === "mismatch";
    if (mayPass && !isLastTry) throw error;
    return {
      ok: false,
      code: error.retryable ? "da_unavailable" : `da_${error.kind}`,
      reason: error.message,
    };
  }
}

/** Keep a checked payload; the same again changes nothing. */
export async function keepPayload(
  tx: Transaction,
  kind: number,
  contentHash: Hex,
  fetched: Extract<Fetched, { ok: true }>,
): Promise<void> {
  const row = { contentHash, kind, blobKey: fetched.blobKey, bytes: Buffer.from(fetched.bytes) };
  await tx.insert(payloads).values(row).onConflictDoNothing();
}
