import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Address, Hex } from "viem";
import { invariant } from "#schema/errors";

/** ABI words of static types, 64 hex digits each. Out-of-range values are our bug: decoders check untrusted input first. */

/** Unsigned integer of `bits` width, big-endian. */
export function uint(bits: number, value: bigint | number): string {
  const given = BigInt(value);
  invariant(given >= 0n && given >> BigInt(bits) === 0n, `${given} is not a uint${bits}`);
  return given.toString(16).padStart(64, "0");
}

/** Signed integer of `bits` width, two's complement, sign-extended to the word. */
export function int(bits: number, value: bigint): string {
  invariant(BigInt.asIntN(bits, value) === value, `${value} is not an int${bits}`);
  return BigInt.asUintN(256, value).toString(16).padStart(64, "0");
}

export function bool(value: boolean): string {
  return uint(8, value ? 1 : 0);
}

export function bytes32(value: Hex): string {
  invariant(bytes32Pattern.test(value), `${value} is not 32 bytes of lowercase hex`);
  return value.slice(2);
}

/** Left-padded, case of the checksum dropped. */
export function address(value: Address): string {
  invariant(addressPattern.test(value), `${value} is not an address`);
  return value.slice(2).toLowerCase().padStart(64, "0");
}

/** keccak(abi(words)). */
export function hash(...words: string[]): Hex {
  return hexOf(keccak_256(Buffer.from(words.join(""), "hex")));
}

/** leaf(abiTypes, values) of docs/formats.md: keccak(keccak(abi(words))). */
export function leaf(...words: string[]): Hex {
  return hexOf(keccak_256(keccak_256(Buffer.from(words.join(""), "hex"))));
}

function hexOf(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`;
}

const bytes32Pattern = /^0x[0-9a-f]{64}$/;
const addressPattern = /^0x[0-9a-fA-F]{40}$/;
