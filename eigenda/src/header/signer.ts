import { createHash } from "node:crypto";
import {
  type Address,
  bytesToHex,
  concat,
  getAddress,
  type Hex,
  hexToBytes,
  keccak256,
  numberToHex,
  stringToHex,
} from "viem";
import { privateKeyToAddress, publicKeyToAddress } from "viem/accounts";
import { type Decoded, EigenDaError } from "../errors.ts";

export const signatureBytes = 65;

/** Domain of the payment-state request hash, as its length-prefixed account: 20 address bytes. */
const addressBytes = 20;

/** Order of secp256k1. */
const secp256k1Order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Signs raw digests with one account's key, as go-ethereum does: r ‖ s ‖ v with v 0 or 1, without the EIP-191 prefix. */
export type Signer = { address: Address; sign(digest: Hex): Promise<Uint8Array> };

/** libsecp256k1 in WebAssembly, loaded when it is first needed, some 40 ms: a tenth of the time of JavaScript for each signature. */
const loadSecp256k1 = () => import("tiny-secp256k1");

/**
 * `privateKey`: 32 bytes in hex, with 0x or without.
 * @throws EigenDaError invalid for anything else. No error says what was given: it may be a key with a slip in it.
 */
export function signerFromKey(privateKey: string): Signer {
  const digits = privateKey.startsWith("0x") ? privateKey.slice(2) : privateKey;
  const scalar = /^[0-9a-fA-F]{64}$/.test(digits) ? BigInt(`0x${digits}`) : 0n;
  if (scalar === 0n || scalar >= secp256k1Order)
    throw new EigenDaError(
      "invalid",
      "An account's key is 32 bytes in hex, above zero and below the order of secp256k1.",
    );
  const hex: Hex = `0x${digits}`;
  const key = hexToBytes(hex);
  return {
    address: privateKeyToAddress(hex),
    async sign(digest) {
      const { signRecoverable } = await loadSecp256k1();
      const { signature, recoveryId } = signRecoverable(hexToBytes(digest), key);
      return Uint8Array.from([...signature, recoveryId]);
    },
  };
}

/** The account that signed a raw digest. */
export async function recoverSigner(digest: Hex, signature: Uint8Array): Promise<Decoded<Address>> {
  const v = signature[signatureBytes - 1];
  if (signature.length !== signatureBytes)
    return { ok: false, reason: `A signature has 65 bytes, not ${signature.length}.` };
  if (v !== 0 && v !== 1) return { ok: false, reason: `A signature's last byte is 0 or 1, not ${v}.` };
  const { recover } = await loadSecp256k1();
  const publicKey = publicKeyOf(() => recover(hexToBytes(digest), signature.subarray(0, -1), v, false));
  if (publicKey === null)
    return { ok: false, reason: "The signature is malformed: r and s lead to no point of the curve." };
  return { ok: true, value: publicKeyToAddress(bytesToHex(publicKey)) };
}

/** libsecp256k1 throws for r and s out of range, and returns null where r is nobody's x: both mean that nobody signed. */
function publicKeyOf(recover: () => Uint8Array | null): Uint8Array | null {
  try {
    return recover();
  } catch (error) {
    if (error instanceof Error && error.message === "Expected Signature") return null;
    throw error;
  }
}

/**
 * keccak256("disperser.DisperseBlobRequest" ‖ chainId as 32 bytes ‖ uint32be disperserId ‖ blobKey).
 * Binds a dispersal to one disperser on one chain, so that it cannot be replayed elsewhere. Source: api/hashing/disperser_hashing.go.
 */
export function anchorHash(chainId: bigint, disperserId: number, blobKey: Hex): Hex {
  const domain = stringToHex("disperser.DisperseBlobRequest");
  return keccak256(concat([domain, chainIdHex(chainId), numberToHex(disperserId, { size: 4 }), blobKey]));
}

export function chainIdHex(chainId: bigint): Hex {
  return numberToHex(chainId, { size: 32 });
}

/**
 * sha256(keccak256(uint32be 20 ‖ address ‖ uint64be timestampNs)): the digest signed to read an account's payment state.
 * Source: api/hashing/payment_state_hashing.go, core/auth/v2/signer.go.
 */
export function paymentStateHash(account: Address, timestampNs: bigint): Hex {
  const request = keccak256(
    concat([
      numberToHex(addressBytes, { size: 4 }),
      getAddress(account),
      numberToHex(timestampNs, { size: 8 }),
    ]),
  );
  return `0x${createHash("sha256").update(hexToBytes(request)).digest("hex")}`;
}

/**
 * A clock in Unix nanoseconds that never gives one value twice: two dispersals of one payload would otherwise share a blob key.
 * The wall clock's resolution is a millisecond; the rest counts up.
 */
export function uniqueClockNs(): () => bigint {
  let last = 0n;
  return () => {
    const now = BigInt(Date.now()) * 1_000_000n;
    last = now > last ? now : last + 1n;
    return last;
  };
}
