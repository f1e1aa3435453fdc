import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import * as voucher from "./voucher.ts";

const account = privateKeyToAccount(keccak256(toHex("voucher test key")));
const escrow: Hex = `0x${"5e".repeat(20)}`;
const bare = { channelId: keccak256("0x01"), maxClaimableWei: 1_000n };
const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

describe("voucher", () => {
  it("recovers its signer after a round trip through the header", async () => {
    const signature = await account.signTypedData(voucher.typedData(escrow, 31337n, bare));
    const decoded = voucher.decode(voucher.encode({ ...bare, signature }));
    expect(decoded).toEqual({ ok: true, value: { ...bare, signature } });
    expect(await voucher.signer(escrow, 31337n, { ...bare, signature })).toBe(account.address.toLowerCase());
    expect(await voucher.signer(escrow, 1n, { ...bare, signature })).not.toBe(account.address.toLowerCase());
    const raised = { ...bare, maxClaimableWei: 1_001n, signature };
    expect(await voucher.signer(escrow, 31337n, raised)).not.toBe(account.address.toLowerCase());
  });

  it("finds no signer in a malleated signature, which the escrow would refuse with the whole batch", async () => {
    const signature = await account.signTypedData(voucher.typedData(escrow, 31337n, bare));
    const s = curveOrder - BigInt(`0x${signature.slice(66, 130)}`);
    const v = signature.endsWith("1b") ? "1c" : "1b";
    const flipped: Hex = `${signature.slice(0, 66) as Hex}${s.toString(16).padStart(64, "0")}${v}`;
    expect(await voucher.signer(escrow, 31337n, { ...bare, signature: flipped })).toBeNull();
    const zeroV: Hex = `${signature.slice(0, 130) as Hex}00`;
    expect(await voucher.signer(escrow, 31337n, { ...bare, signature: zeroV })).toBeNull();
    expect(await voucher.signer(escrow, 31337n, { ...bare, signature: `0x${"00".repeat(64)}1b` })).toBeNull();
  });

  it("gives a reason for a header that is no voucher", () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
    expect(voucher.decode("%%%")).toMatchObject({ ok: false, reason: expect.stringMatching(/JSON/) });
    expect(voucher.decode(encode({ channelId: "0x12" }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/channelId/),
    });
    const full = {
      channelId: bare.channelId,
      maxClaimableAmount: (2n ** 128n).toString(),
      signature: `0x${"00".repeat(65)}`,
    };
    expect(voucher.decode(encode(full))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/128 bits/),
    });
    expect(voucher.decode("A".repeat(3_000))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/too long/),
    });
  });
});
