import { eq } from "drizzle-orm";
import type { Address, Hex, PublicClient } from "viem";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { onchain } from "#schema/bind";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import type { ChannelView } from "./admission.ts";

/** What a channel was opened with, as the escrow's calls take it. Its hash is the channel's id, so it never changes. */
export type ChannelConfig = {
  payer: Hex;
  payerAuthorizer: Hex;
  receiver: Hex;
  receiverAuthorizer: Hex;
  token: Hex;
  withdrawDelay: number;
  salt: Hex;
};

/**
 * The channel as the chain has it, or null where no deposit into it is final or the indexer does not know it yet.
 *
 * The configuration is an indexed row: the chain keeps only its hash. The money is read from the RPC and not from the
 * row, which mirrors the latest block and lags behind a withdrawal: what must not be taken back (deposits) at the
 * `finalized` block, what must be seen early (withdrawal, claims) at the latest.
 */
export async function readChannel(
  { db, client }: { db: Drizzle; client: PublicClient },
  escrow: Address,
  channelId: Hex,
): Promise<ChannelView | null> {
  const call = {
    address: escrow,
    abi: channelEscrowAbi,
    functionName: "channelOf",
    args: [channelId],
  } as const;
  const [config, final, latest] = await Promise.all([
    findConfig(db, channelId),
    client.readContract({ ...call, blockTag: "finalized" }),
    client.readContract(call),
  ]);
  if (config === undefined || (final.balance === 0n && final.totalClaimed === 0n)) return null;
  return {
    payer: config.payer,
    payerAuthorizer: config.payerAuthorizer,
    receiver: config.receiver,
    receiverAuthorizer: config.receiverAuthorizer,
    finalBalanceWei: final.balance,
    balanceWei: latest.balance,
    totalClaimedWei: latest.totalClaimed,
    isWithdrawing: latest.withdrawFinalizeAfter !== 0,
  };
}

/** @throws ChannelUnknownError where the indexer does not know the channel yet. Retryable. */
export async function readConfig(db: Drizzle, channelId: Hex): Promise<ChannelConfig> {
  const config = await findConfig(db, channelId);
  if (config === undefined) throw new ChannelUnknownError(channelId);
  return config;
}

async function findConfig(db: Drizzle, channelId: Hex): Promise<ChannelConfig | undefined> {
  const { channel } = onchain;
  const [row] = await db.select().from(channel).where(eq(channel.id, channelId));
  if (row === undefined) return undefined;
  const { payer, payerAuthorizer, receiver, receiverAuthorizer, token, withdrawDelay, salt } = row;
  const parties = { payer, payerAuthorizer, receiver, receiverAuthorizer, token };
  return { ...parties, withdrawDelay: Number(withdrawDelay), salt };
}

export class ChannelUnknownError extends PipelineError {
  override readonly name = "ChannelUnknownError";
  constructor(channelId: Hex) {
    super(`channel ${channelId} is not indexed (yet).`, { code: "channel_unknown", retryable: true });
  }
}
