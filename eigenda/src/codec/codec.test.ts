import fc from "fast-check";
import { expect, it } from "vitest";
import { evaluatePolynomial, frModulus, nonCanonicalSymbol, powFr, writeSymbols } from "../curve/field.ts";
import { fft, ifft } from "../kernel/fft.ts";
import { fromHex, hasVectors, readVectors, toHex } from "../testing/vectors.ts";
import { decodeBlob, encodeBlob, type PolynomialForm } from "./blob.ts";
import { decodePayload, encodePayload, payloadBytesMax } from "./payload.ts";

const header = (length: string, rest = "00".repeat(26)) => `0000${length}${rest}`;
const forms: readonly PolynomialForm[] = ["eval", "coeff"];

/** As in Layr-Labs/eigenda encoding/constants.go. */
const rootOfUnity = 19103219067921713944291392827692070036145651957329286315305642004821462161904n;

it("fills a blob to its last byte and refuses one byte more", () => {
  const max = payloadBytesMax(64);
  expect(max).toBe(1953);
  expect(encodePayload(new Uint8Array(max), 64).length).toBe(64 * 32);
  expect(() => encodePayload(new Uint8Array(max + 1), 64)).toThrow(
    expect.objectContaining({
      kind: "invalid",
      message: "The payload is too large. Max: 1953 bytes. Given: 1954 bytes.",
    }),
  );
});

it("encodes every size around a symbol boundary to a power of two of symbols", () => {
  const symbols = [0, 1, 31, 32, 62, 93, 94].map(
    (bytes) => encodePayload(new Uint8Array(bytes), 64).length / 32,
  );
  expect(symbols).toEqual([1, 2, 2, 4, 4, 4, 8]);
});

it.each([
  ["no header", "000000000000"],
  ["nothing", ""],
  ["a first byte that is not zero", `01${"00".repeat(31)}`],
  ["an unknown version", `0001${"00".repeat(30)}`],
  ["a size that is no multiple of a symbol", `${header("00000001")}000100`],
  ["three symbols", `${header("00000001")}${"00".repeat(64)}`],
  ["a length above what it holds", `${header("00000040")}${"00".repeat(32)}`],
  ["header padding", `${header("0000001f", `${"00".repeat(23)}332211`)}${"00".repeat(32)}`],
  ["a symbol whose first byte is not zero", `${header("0000001f")}01${"00".repeat(31)}`],
  ["bytes after the payload", `${header("00000001")}000102${"00".repeat(29)}`],
])("refuses an encoded payload with %s", (_, encoded) => {
  expect(decodePayload(fromHex(encoded))).toMatchObject({ ok: false });
});

it("refuses a blob with a symbol at the group order", () => {
  const blob = writeSymbols([0n, frModulus]);
  expect(decodeBlob(blob, "eval")).toEqual({ ok: false, reason: "Symbol 1 of the blob is not canonical." });
});

it("gives back every payload in both forms", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.constantFrom(...forms), (payload, form) => {
      const blob = encodeBlob(payload, { form, symbolsMax: 64 });
      expect(decodeBlob(blob, form)).toEqual({ ok: true, value: payload });
    }),
    { numRuns: 60 },
  );
});

it("accepts one encoding a payload: any changed byte gives another payload or none", () => {
  const payload = Uint8Array.from({ length: 40 }, (_, index) => index + 1);
  const encoded = encodePayload(payload, 64);
  for (let index = 0; index < encoded.length; index++) {
    const changed = encoded.slice();
    changed[index] = changed[index]! ^ 0x10;
    const decoded = decodePayload(changed);
    if (decoded.ok) expect(toHex(encodePayload(decoded.value, 64))).toBe(toHex(changed));
  }
});

it("transforms there and back, and as the definition says", () => {
  const symbol = fc.oneof(fc.bigInt({ min: 0n, max: frModulus - 1n }), fc.constantFrom(0n, frModulus - 1n));
  const values = fc
    .integer({ min: 0, max: 6 })
    .chain((log) => fc.array(symbol, { minLength: 2 ** log, maxLength: 2 ** log }));
  fc.assert(
    fc.property(values, (list) => {
      const symbols = writeSymbols(list);
      expect(ifft(fft(symbols))).toEqual(symbols);
      const root = powFr(rootOfUnity, 2n ** 28n / BigInt(list.length));
      const wanted = list.map((_, index) => evaluatePolynomial(list, powFr(root, BigInt(index))));
      expect(fft(symbols)).toEqual(writeSymbols(wanted));
    }),
    { numRuns: 40 },
  );
});

it("transforms 65,536 symbols of the largest value there and back", () => {
  const symbols = writeSymbols(
    Array.from({ length: 65_536 }, (_, index) => frModulus - 1n - BigInt(index % 3)),
  );
  expect(Buffer.compare(ifft(fft(symbols)), symbols)).toBe(0);
});

it("finds the first symbol that is not canonical", () => {
  const symbols = writeSymbols([frModulus - 1n, 0n, frModulus, 1n << 255n]);
  expect(nonCanonicalSymbol(symbols)).toBe(2);
  expect(nonCanonicalSymbol(symbols.subarray(0, 64))).toBeNull();
});

it.skipIf(!hasVectors)("encodes payloads and evaluation-form blobs as the Go client does", () => {
  const { payloadCodec, evalForm } = readVectors();
  for (const { payload, encoded } of payloadCodec) {
    expect(toHex(encodePayload(fromHex(payload), 64))).toBe(encoded);
  }
  for (const { payload, blob } of evalForm) {
    expect(toHex(encodeBlob(fromHex(payload), { form: "eval", symbolsMax: 64 }))).toBe(blob);
    expect(decodeBlob(fromHex(blob), "eval")).toEqual({ ok: true, value: fromHex(payload) });
  }
});
