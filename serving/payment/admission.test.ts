import { type Hex, zeroAddress } from "viem";
import { describe, expect, it } from "vitest";
import { admit, type ChannelView, type Offer } from "./admission.ts";

const address = (digit: string): Hex => `0x${digit.repeat(40)}`;
const claimant = { hub: address("a"), node: address("b") };
const channel: ChannelView = {
  payer: address("1"),
  payerAuthorizer: address("2"),
  receiver: claimant.hub,
  receiverAuthorizer: claimant.node,
  finalBalanceWei: 100n,
  balanceWei: 100n,
  totalClaimedWei: 0n,
  isWithdrawing: false,
};
const offer: Offer = { channel, signer: address("2"), maxClaimableWei: 30n, chargedWei: 20n, feeWei: 10n };
const reasonOf = (change: Partial<Offer>) => {
  const admission = admit({ ...offer, ...change }, claimant);
  return admission.ok ? "ok" : admission.reason;
};
const withChannel = (change: Partial<ChannelView>) => reasonOf({ channel: { ...channel, ...change } });

describe("admit", () => {
  it("admits a voucher that covers exactly what is charged by then", () => {
    expect(admit(offer, claimant)).toEqual({ ok: true, payer: channel.payer });
  });

  it("refuses one wei too little in voucher, in balance, or in final balance", () => {
    expect(reasonOf({ maxClaimableWei: 29n })).toBe("voucher_too_low");
    expect(withChannel({ balanceWei: 29n })).toBe("balance_too_low");
    expect(withChannel({ finalBalanceWei: 29n })).toBe("balance_too_low");
    expect(withChannel({ finalBalanceWei: 30n, balanceWei: 30n })).toBe("ok");
  });

  it("takes the payer's own signature only where no authorizer is named", () => {
    expect(reasonOf({ signer: channel.payer })).toBe("voucher_signature");
    expect(reasonOf({ signer: null })).toBe("voucher_signature");
    expect(reasonOf({ signer: channel.payer, channel: { ...channel, payerAuthorizer: zeroAddress } })).toBe(
      "ok",
    );
  });

  it("refuses a channel that is unknown, pays or is settled by someone else, or is being withdrawn", () => {
    expect(reasonOf({ channel: null })).toBe("channel_unknown");
    expect(withChannel({ receiver: address("c") })).toBe("channel_receiver");
    expect(withChannel({ receiverAuthorizer: address("c") })).toBe("channel_node");
    expect(withChannel({ isWithdrawing: true })).toBe("channel_withdrawing");
  });
});
