import {
  bytesToHex,
  decodeAbiParameters,
  encodeAbiParameters,
  type Hex,
  hexToBytes,
  keccak256,
  parseAbiParameters,
} from "viem";
import type { Decoded } from "#schema/errors";
import { type Codec, payloadBytesMax } from "./codec.ts";

/** Kinds of payload, and the version of each. */
export const kinds = { contribution: 1, receipts: 2, provenance: 3, training: 4 } as const;
export type Kind = keyof typeof kinds;
const versions: Record<Kind, number> = { contribution: 1, receipts: 1, provenance: 3, training: 2 };

/** keccak(payload): stands on chain beside the certificate. */
export function contentHash(payload: Uint8Array): Hex {
  return keccak256(payload);
}

/** payload = abi(uint16 kind, uint16 version, bytes body). */
export function encode<T>(kind: Kind, body: Codec<T>, value: T): Uint8Array {
  return hexToBytes(
    encodeAbiParameters(outer, [kinds[kind], versions[kind], bytesToHex(body.encode(value))]),
  );
}

/** The body of a payload of this kind, or why the bytes are refused: size, kind, version, encoding. */
export function decode<T>(kind: Kind, body: Codec<T>, payload: Uint8Array): Decoded<T> {
  const opened = open(payload);
  if (!opened.ok) return opened;
  if (opened.value.kind !== kinds[kind] || opened.value.version !== versions[kind]) {
    const given = `kind ${opened.value.kind} version ${opened.value.version}`;
    return {
      ok: false,
      reason: `payload is ${given}, expected kind ${kinds[kind]} version ${versions[kind]}`,
    };
  }
  return body.decode(hexToBytes(opened.value.body));
}

/** Kind, version and body of any payload; the body is not looked into. */
export function open(payload: Uint8Array): Decoded<{ kind: number; version: number; body: Hex }> {
  if (payload.length > payloadBytesMax) {
    return { ok: false, reason: `payload exceeds ${payloadBytesMax} bytes, given ${payload.length}` };
  }
  try {
    const [kind, givenVersion, body] = decodeAbiParameters(outer, payload);
    if (encodeAbiParameters(outer, [kind, givenVersion, body]) !== bytesToHex(payload)) {
      return { ok: false, reason: "payload is not the canonical encoding" };
    }
    return { ok: true, value: { kind, version: givenVersion, body } };
  } catch (error) {
    // viem throws for every malformed input; for untrusted bytes that is a reason, not an exception.
    return { ok: false, reason: `payload is not ABI: ${(error as Error).message.split("\n")[0]}` };
  }
}

const outer = parseAbiParameters("uint16 kind, uint16 version, bytes body");
