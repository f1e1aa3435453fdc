import { gt } from "drizzle-orm";
import { type Hex, hexToBytes, keccak256 } from "viem";
import { EigenDaError } from "#eigenda/index";
import type { Transaction } from "#schema/database";
import { payload as payloads } from "#schema/offchain/index";

/** DA as the engine sees it. */
export type BlobReader = {
  /** Inclusion and signatures of a certificate: what anyone who verifies a payout will ask of it. */
  check: (certificate: Uint8Array) => Promise<{ ok: true; blobKey: Hex } | { ok: false; reason: string }>;
  /** The payload, checked against the certificate's commitment. @throws EigenDaError */
  retrieve: (certificate: Uint8Array) => Promise<Uint8Array>;
};

export type Fetched =
  | { ok: true; bytes: Uint8Array; blobKey: Hex }
  | { ok: false; code: string; reason: string };

/**
 * Fetch what a certificate on chain stands for. Three checks make it true: the network signed the certificate, the blob
 * matches its KZG commitment, and the payload's hash is the one on chain. A failure that may pass is thrown, unless this was the last
 * try. A wrong answer (`mismatch`) may pass: it is a relay's fault, and another reader may have been given the blob.
 */
export async function fetchPayload(
  reader: BlobReader,
  onChain: { daCommitment: Hex; contentHash: Hex },
  isLastTry: boolean,
): Promise<Fetched> {
  const certificate = hexToBytes(onChain.daCommitment);
  const verdict = await reader.check(certificate);
  if (!verdict.ok) return { ok: false, code: "da_certificate", reason: verdict.reason };
  try {
    const bytes = await reader.retrieve(certificate);
    const contentHash = keccak256(bytes);
    if (contentHash !== onChain.contentHash) {
      return {
        ok: false,
        code: "content_hash",
        reason: `payload hashes to ${contentHash}, the chain has ${onChain.contentHash}`,
      };
    }
    return { ok: true, bytes, blobKey: verdict.blobKey };
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

/**
 * Keep a checked payload; the same again changes nothing. Anyone can disperse and submit the same bytes once more: of
 * several blobs the lowest key is kept, whichever was fetched first.
 */
export async function keepPayload(
  tx: Transaction,
  kind: number,
  contentHash: Hex,
  fetched: Extract<Fetched, { ok: true }>,
): Promise<void> {
  const row = { contentHash, kind, blobKey: fetched.blobKey, bytes: Buffer.from(fetched.bytes) };
  await tx
    .insert(payloads)
    .values(row)
    .onConflictDoUpdate({
      target: payloads.contentHash,
      set: { blobKey: row.blobKey },
      setWhere: gt(payloads.blobKey, row.blobKey),
    });
}
