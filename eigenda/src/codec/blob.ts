import { isPowerOfTwo, nonCanonicalSymbol, symbolBytes } from "../curve/field.ts";
import type { Decoded } from "../errors.ts";
import { fft, ifft } from "../kernel/fft.ts";
import { decodePayload, encodePayload } from "./payload.ts";

/**
 * How the encoded payload becomes the blob's polynomial. Nothing on the wire tells which: both sides must agree.
 * `eval`: its symbols are the polynomial's values at the roots of unity (default of the Go client).
 * `coeff`: its symbols are the coefficients.
 */
export type PolynomialForm = "eval" | "coeff";

/** Largest blob there is: 16 MiB. */
export const blobSymbolsMax = 524_288;

/**
 * Payload to blob: the polynomial's coefficients, 32 big-endian bytes each, as sent and committed to.
 * @throws EigenDaError invalid if the payload needs more than `symbolsMax` symbols.
 */
export function encodeBlob(
  payload: Uint8Array,
  options: { form: PolynomialForm; symbolsMax: number },
): Uint8Array {
  const encoded = encodePayload(payload, Math.min(options.symbolsMax, blobSymbolsMax));
  if (options.form === "coeff") return encoded;
  return ifft(encoded);
}

/** The blob of an encoded payload that came from outside; a power of two of symbols. */
export function blobOfEncoded(encoded: Uint8Array, form: PolynomialForm): Decoded<Uint8Array> {
  if (form === "coeff") return { ok: true, value: encoded };
  const wrong = nonCanonicalSymbol(encoded);
  if (wrong !== null) return { ok: false, reason: `Symbol ${wrong} of the payload is not canonical.` };
  return { ok: true, value: ifft(encoded) };
}

/** Strict inverse of `encodeBlob`. The blob must have its full length, trailing zeros included. */
export function decodeBlob(blob: Uint8Array, form: PolynomialForm): Decoded<Uint8Array> {
  if (form === "coeff") return decodePayload(blob);
  if (blob.length % symbolBytes !== 0 || !isPowerOfTwo(blob.length / symbolBytes)) {
    return { ok: false, reason: `The blob's size is not a power of two of symbols: ${blob.length} bytes.` };
  }
  if (blob.length > blobSymbolsMax * symbolBytes)
    return { ok: false, reason: `The blob is too large: ${blob.length} bytes.` };
  const wrong = nonCanonicalSymbol(blob);
  if (wrong !== null) return { ok: false, reason: `Symbol ${wrong} of the blob is not canonical.` };
  return decodePayload(fft(blob));
}
