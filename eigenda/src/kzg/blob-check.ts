import { bytesToHex } from "viem";
import { nonCanonicalSymbol, symbolBytes } from "../curve/field.ts";
import { compressG1, isEqualG1 } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import type { BlobCommitment } from "./commitment.ts";
import type { Committer } from "./committer.ts";

/**
 * The full blob, if it is what the certificate commits to; recomputes the commitment. Who served it may have cut its trailing zeros.
 * @throws EigenDaError mismatch if it is not; invalid if the SRS is too short to tell.
 */
export async function checkedBlob(
  committer: Committer,
  { commitment, length }: BlobCommitment,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  checkSize(committer, { length });
  if (bytes.length > length * symbolBytes) {
    throw new EigenDaError(
      "mismatch",
      `More bytes came than the blob has. Max: ${length * symbolBytes} bytes. Given: ${bytes.length} bytes.`,
    );
  }
  const blob = new Uint8Array(length * symbolBytes);
  blob.set(bytes);
  const wrong = nonCanonicalSymbol(blob);
  if (wrong !== null) throw new EigenDaError("mismatch", `Symbol ${wrong} of the blob is not canonical.`);
  const recomputed = await committer.commitG1(blob);
  if (!isEqualG1(recomputed, commitment)) {
    const [wanted, given] = [commitment, recomputed].map((point) => bytesToHex(compressG1(point)));
    throw new EigenDaError(
      "mismatch",
      `The blob has another commitment. Wanted: ${wanted}. Given: ${given}.`,
    );
  }
  return blob;
}

/**
 * Before a blob is asked for: a certificate can claim any length.
 * @throws EigenDaError invalid if the SRS is too short to check it.
 */
export function checkSize(committer: Committer, { length }: Pick<BlobCommitment, "length">): void {
  if (length <= committer.symbolsMax) return;
  throw new EigenDaError(
    "invalid",
    `The blob is longer than the SRS. Max: ${committer.symbolsMax} symbols. Given: ${length} symbols.`,
  );
}
