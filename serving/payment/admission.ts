import { type Hex, zeroAddress } from "viem";

/** What the chain says of a channel. Addresses in lowercase. */
export type ChannelView = {
  payer: Hex;
  payerAuthorizer: Hex;
  receiver: Hex;
  receiverAuthorizer: Hex;
  /** Deposits less withdrawals at the final block: money a reorganisation cannot take back. */
  finalBalanceWei: bigint;
  /** At the latest block: what was claimed, and whether the payer is leaving. */
  balanceWei: bigint;
  totalClaimedWei: bigint;
  isWithdrawing: boolean;
};

export type Claimant = { hub: Hex; node: Hex };

/** All that decides whether a call is paid for. `chargedWei` includes answers that are not settled yet. */
export type Offer = {
  channel: ChannelView | null;
  signer: Hex | null;
  maxClaimableWei: bigint;
  chargedWei: bigint;
  feeWei: bigint;
};

export type Admission = { ok: true; payer: Hex } | { ok: false; reason: RefusalReason; remedy: string };
export type RefusalReason = keyof typeof remedies;

/**
 * Whether a call may be answered: the channel pays our hub, only our node may settle it, the payer's key signed for at
 * least what is charged by then, and the balance covers that, today and at the final block. Pure.
 */
export function admit(offer: Offer, claimant: Claimant): Admission {
  const { channel, chargedWei, feeWei } = offer;
  if (channel === null) return refuse("channel_unknown");
  if (channel.receiver !== claimant.hub) return refuse("channel_receiver");
  if (channel.receiverAuthorizer !== claimant.node) return refuse("channel_node");
  const key = channel.payerAuthorizer === zeroAddress ? channel.payer : channel.payerAuthorizer;
  if (offer.signer !== key) return refuse("voucher_signature");
  if (channel.isWithdrawing) return refuse("channel_withdrawing");
  const requiredWei = chargedWei + feeWei;
  if (offer.maxClaimableWei < requiredWei) return refuse("voucher_too_low");
  if (channel.finalBalanceWei < requiredWei || channel.balanceWei < requiredWei)
    return refuse("balance_too_low");
  return { ok: true, payer: channel.payer };
}

/** What the caller can do about each refusal. */
export const remedies = {
  voucher_missing: "Open a channel to the hub and send its voucher in the header x-payment-voucher.",
  voucher_malformed: "Send base64 of JSON {channelId, maxClaimableAmount, signature}.",
  channel_unknown: "Open the channel, or wait until its creation is final.",
  channel_receiver: "Open a channel whose receiver is the settlement hub.",
  channel_node: "Open a channel whose receiverAuthorizer is this node.",
  voucher_signature:
    "Sign the voucher with the channel's payerAuthorizer key (the payer's, where that is zero).",
  channel_withdrawing: "Finish the withdrawal and deposit again, or open another channel.",
  voucher_too_low: "Sign a voucher for at least requiredMaxWei.",
  balance_too_low: "Deposit into the channel and wait until the deposit is final.",
} as const;

function refuse(reason: RefusalReason): Admission {
  return { ok: false, reason, remedy: remedies[reason] };
}
