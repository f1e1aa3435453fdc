import type { Hex } from "viem";
import { type Certificate, decodeCertificate } from "../certificate/certificate.ts";
import { decodeBlob, type PolynomialForm } from "../codec/blob.ts";
import { EigenDaError } from "../errors.ts";
import { blobKey } from "../header/header.ts";

/** Somewhere to read blobs from, which returns a blob only after its commitment, recomputed here, equals the certificate's. */
export type BlobSource = {
  retrieveBlob(
    certificate: Certificate,
    options: { signal?: AbortSignal | undefined },
  ): Promise<{ blob: Uint8Array; servedBy: string }>;
};

/**
 * The payload a certificate stands for and its blob, from the first source that has it; `servedBy` says which. Whether the certificate itself is good: see
 * `verifyCertificate`.
 * @throws EigenDaError invalid (certificate, or a blob that is no payload); mismatch (an answer was wrong and none was right); failover (no answer).
 */
export async function retrievePayload(
  certificate: Uint8Array,
  sources: readonly BlobSource[],
  options: { form?: PolynomialForm; signal?: AbortSignal } = {},
): Promise<{ payload: Uint8Array; blob: Uint8Array; servedBy: string }> {
  const decoded = decodeCertificate(certificate);
  if (!decoded.ok) throw new EigenDaError("invalid", decoded.reason);
  const { blob, servedBy } = await firstAnswer(
    blobKey(decoded.value.header),
    sources.map((source, index) => ({
      name: `source ${index + 1} of ${sources.length}`,
      ask: () => source.retrieveBlob(decoded.value, { signal: options.signal }),
    })),
    options.signal,
  );
  const payload = decodeBlob(blob, options.form ?? "eval");
  if (!payload.ok) throw new EigenDaError("invalid", payload.reason);
  return { payload: payload.value, blob, servedBy };
}

/** One of those that may have the answer; `name` tells it from the others in an error. */
export type Ask<T> = { name: string; ask: () => Promise<T> };

/**
 * Asks one after the other, whatever goes wrong with one. A wrong answer says more than a missing one, so the first mismatch is what is thrown at the end, with the words of all.
 * @throws EigenDaError; the signal's reason if aborted.
 */
export async function firstAnswer<T>(
  key: Hex,
  asks: readonly Ask<T>[],
  signal?: AbortSignal | undefined,
): Promise<T> {
  const failures: EigenDaError[] = [];
  for (const { name, ask } of asks) {
    signal?.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      signal?.throwIfAborted();
      const isKnown = error instanceof EigenDaError;
      failures.push(isKnown ? error : new EigenDaError("failover", `${name}: ${error}`, { cause: error }));
    }
  }
  const worst = failures.find(({ kind }) => kind === "mismatch") ?? failures.at(-1);
  if (worst === undefined) throw new EigenDaError("invalid", `Nobody is named who may have blob ${key}.`);
  const messages = new Set(failures.map(({ message }) => message));
  throw new EigenDaError(worst.kind, `Blob ${key} cannot be retrieved: ${[...messages].join(" ")}`, {
    cause: worst,
  });
}
