import {
  type AbiParameter,
  type AbiParameterToPrimitiveType,
  bytesToHex,
  decodeAbiParameters,
  encodeAbiParameters,
  type Hex,
  hexToBytes,
} from "viem";
import type { Decoded } from "#schema/errors";

/** Both directions of `abi((…))` for one tuple. Addresses come back in lowercase. */
export type Codec<T> = { encode: (value: T) => Uint8Array; decode: (bytes: Uint8Array) => Decoded<T> };

/** A codec of one ABI parameter. `decode` takes untrusted bytes: it refuses what does not re-encode to the same bytes. */
export function codec<const P extends readonly [AbiParameter]>(
  parameters: P,
): Codec<AbiParameterToPrimitiveType<P[0]>> {
  type T = AbiParameterToPrimitiveType<P[0]>;
  const encode = (value: T) =>
    hexToBytes(encodeAbiParameters(parameters as readonly AbiParameter[], [value]));
  return {
    encode,
    decode: (bytes) => {
      if (bytes.length > payloadBytesMax) {
        return { ok: false, reason: `bytes exceed ${payloadBytesMax}, given ${bytes.length}` };
      }
      try {
        const value = decodeAbiParameters(parameters as readonly AbiParameter[], bytes)[0] as T;
        if (bytesToHex(encode(value)) !== bytesToHex(bytes))
          return { ok: false, reason: "not the canonical encoding" };
        return { ok: true, value: lowercaseAddresses(parameters[0], value) as T };
      } catch (error) {
        // viem throws for every malformed input; for untrusted bytes that is a reason, not an exception.
        return { ok: false, reason: `not the expected ABI: ${(error as Error).message.split("\n")[0]}` };
      }
    },
  };
}

/** Most bytes of a payload: EigenDA's largest blob. */
export const payloadBytesMax = 16 * 1024 * 1024;

function lowercaseAddresses(parameter: AbiParameter, value: unknown): unknown {
  if (parameter.type === "address") return (value as Hex).toLowerCase();
  if (parameter.type.endsWith("[]")) {
    const item = { ...parameter, type: parameter.type.slice(0, -2) } as AbiParameter;
    return item.type === "tuple" || item.type === "address"
      ? (value as unknown[]).map((element) => lowercaseAddresses(item, element))
      : value;
  }
  if (!("components" in parameter)) return value;
  const fields = value as Record<string, unknown>;
  return Object.fromEntries(
    parameter.components.map((c) => [c.name, lowercaseAddresses(c, fields[c.name!])]),
  );
}
