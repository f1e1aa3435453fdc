import { type Hex, hashTypedData } from "viem";
import { expect, it } from "vitest";
import { readLeafVectors } from "#schema/testing/vectors";
import { channelTypedData, typedData } from "./voucher.ts";

/** The file the Solidity tests read. */
const vectors = readLeafVectors();
const chainId = BigInt(vectors.chainId);

it.each(vectors.vouchers as Record<string, Hex>[])("digests a voucher for $maxClaimableAmount wei", (v) => {
  const voucher = { channelId: v.channelId!, maxClaimableWei: BigInt(v.maxClaimableAmount!) };
  expect(hashTypedData(typedData(vectors.escrow, chainId, voucher))).toBe(v.digest);
});

it.each(vectors.channels as Record<string, Hex>[])("names the channel $channelId", ({ channelId, ...v }) => {
  const config = { ...v, withdrawDelay: Number(v.withdrawDelay) } as never;
  expect(hashTypedData(channelTypedData(vectors.escrow, chainId, config))).toBe(channelId);
});
