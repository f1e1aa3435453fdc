import { fft, ifft, isPowerOfTwo, readSymbols, symbolBytes, writeSymbols } from "../curve/field.ts";
import type { Decoded } from "../errors.ts";
import { invariant } from "../errors.ts";
import { decodePayload, encodePayload } from "./payload.ts";

/**
 * How the encoded payload becomes the blob's polynomial. Nothing on the wire tells which: both sides must agree.
 * `eval`: its symbols are the polynomial's values at the roots of unity (default of the Go client).
 * `coeff`: its symbols are the coefficients.
 */
export type PolynomialForm = "eval" | "coeff";

/**
 * Payload to blob: the polynomial's coefficients, 32 big-endian bytes each, as sent and committed to.
 * @throws EigenDaError invalid if the payload needs more than `symbolsMax` symbols.
 */
export function encodeBlob(
  payload: Uint8Array,
  options: { form: PolynomialForm; symbolsMax: number },
): Uint8Array {
  const encoded = encodePayload(payload, options.symbolsMax);
  if (options.form === "coeff") return encoded;
  const symbols = readSymbols(encoded);
  invariant(symbols.ok, "an encoded payload has canonical symbols only");
  return writeSymbols(ifft(symbols.value));
}

/** The blob of an encoded payload that came from outside. */
export function blobOfEncoded(encoded: Uint8Array, form: PolynomialForm): Decoded<Uint8Array> {
  if (form === "coeff") return { ok: true, value: encoded };
  const symbols = readSymbols(encoded);
  if (!symbols.ok) return { ok: false, reason: `Symbol ${symbols.index} of the payload is not canonical.` };
  return { ok: true, value: writeSymbols(ifft(symbols.value)) };
}

/** Strict inverse of `encodeBlob`. The blob must have its full length, trailing zeros included. */
export function decodeBlob(blob: Uint8Array, form: PolynomialForm): Decoded<Uint8Array> {
  if (form === "coeff") return decodePayload(blob);
  if (blob.length % symbolBytes !== 0 || !isPowerOfTwo(blob.length / symbolBytes)) {
    return { ok: false, reason: `The blob's size is not a power of two of symbols: ${blob.length} bytes.` };
  }
  const symbols = readSymbols(blob);
  if (!symbols.ok) return { ok: false, reason: `Symbol ${symbols.index} of the blob is not canonical.` };
  return decodePayload(writeSymbols(fft(symbols.value)));
}
