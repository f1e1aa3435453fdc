import {
  type Address,
  type Hex,
  parseSignature,
  recoverTypedDataAddress,
  signatureToCompactSignature,
} from "viem";
import { z } from "zod";
import type { Decoded } from "#schema/errors";
import type { ChannelConfig } from "./channel.ts";

/** Payer's signature over the most that may be claimed from a channel, cumulative, in wei. */
export type Voucher = { channelId: Hex; maxClaimableWei: bigint; signature: Hex };

/** Longest header taken, in characters. */
const headerCharactersMax = 2_048;

const voucherJson = z.object({
  channelId: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
  maxClaimableAmount: z.union([z.string().regex(/^\d{1,39}$/), z.int().nonnegative()]),
  signature: z.string().regex(/^0x[0-9a-fA-F]{130}$/),
});

const uint128Max = 2n ** 128n - 1n;
/** Order of secp256k1 halved: the escrow refuses signatures with a larger s, and with them the whole batch. */
const signatureSMax = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** Header `x-payment-voucher`: base64 of JSON {channelId, maxClaimableAmount, signature}, amounts as decimal strings. */
export function decode(header: string): Decoded<Voucher> {
  if (header.length > headerCharactersMax) return { ok: false, reason: "voucher header is too long" };
  try {
    const parsed = voucherJson.safeParse(JSON.parse(Buffer.from(header, "base64").toString("utf8")));
    if (!parsed.success)
      return { ok: false, reason: `voucher field ${parsed.error.issues[0]?.path.join(".")} is wrong` };
    const maxClaimableWei = BigInt(parsed.data.maxClaimableAmount);
    if (maxClaimableWei > uint128Max) return { ok: false, reason: "voucher amount exceeds 128 bits" };
    const channelId = parsed.data.channelId.toLowerCase() as Hex;
    return {
      ok: true,
      value: { channelId, maxClaimableWei, signature: parsed.data.signature.toLowerCase() as Hex },
    };
  } catch {
    // The header is from a stranger; what is no JSON is a reason.
    return { ok: false, reason: "voucher is not base64 of JSON" };
  }
}

/** The header's text for a voucher; what a client sends. */
export function encode({ channelId, maxClaimableWei, signature }: Voucher): string {
  const json = { channelId, maxClaimableAmount: maxClaimableWei.toString(), signature };
  return Buffer.from(JSON.stringify(json), "utf8").toString("base64");
}

/** Typed data of IChannelEscrow's `Voucher`, as viem's signTypedData takes it. */
export function typedData(escrow: Address, chainId: bigint, voucher: Omit<Voucher, "signature">) {
  const { channelId, maxClaimableWei } = voucher;
  return {
    domain: domainOf(escrow, chainId),
    types: {
      Voucher: [
        { name: "channelId", type: "bytes32" },
        { name: "maxClaimableAmount", type: "uint128" },
      ],
    },
    primaryType: "Voucher",
    message: { channelId, maxClaimableAmount: maxClaimableWei },
  } as const;
}

/** Typed data of IChannelEscrow's `ChannelConfig`; its hash is the channel's id. */
export function channelTypedData(escrow: Address, chainId: bigint, config: ChannelConfig) {
  return {
    domain: domainOf(escrow, chainId),
    types: {
      ChannelConfig: [
        { name: "payer", type: "address" },
        { name: "payerAuthorizer", type: "address" },
        { name: "receiver", type: "address" },
        { name: "receiverAuthorizer", type: "address" },
        { name: "token", type: "address" },
        { name: "withdrawDelay", type: "uint40" },
        { name: "salt", type: "bytes32" },
      ],
    },
    primaryType: "ChannelConfig",
    message: config,
  } as const;
}

/**
 * Claim of IChannelEscrow's `CompactClaim`: a voucher up to whose maximum `totalClaimed` is taken. The signature must be
 * a key's, which `signer` has checked; the escrow takes it in 64 bytes (ERC-2098).
 */
export function compactClaim(
  { payer, payerAuthorizer, withdrawDelay, salt }: ChannelConfig,
  claim: { maxClaimableAmount: bigint; totalClaimed: bigint; signature: Hex },
) {
  const { maxClaimableAmount, totalClaimed, signature } = claim;
  const { r, yParityAndS: vs } = signatureToCompactSignature(parseSignature(signature));
  return { payer, payerAuthorizer, withdrawDelay, salt, maxClaimableAmount, totalClaimed, r, vs };
}

/** Of x402's `batch-settlement`. */
function domainOf(escrow: Address, chainId: bigint) {
  return { name: "x402 Batch Settlement", version: "1", chainId, verifyingContract: escrow } as const;
}

/** Who signed, in lowercase; null for what the escrow would refuse: wrong v, high s, no point on the curve. */
export async function signer(escrow: Address, chainId: bigint, voucher: Voucher): Promise<Hex | null> {
  const { signature } = voucher;
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const v = Number.parseInt(signature.slice(130), 16);
  if (s > signatureSMax || (v !== 27 && v !== 28)) return null;
  try {
    const data = typedData(escrow, chainId, voucher);
    return (await recoverTypedDataAddress({ ...data, signature })).toLowerCase() as Hex;
  } catch {
    // Any 65 bytes may come; no signer is an answer.
    return null;
  }
}
