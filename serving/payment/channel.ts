import { type Address, type Hex, type PublicClient, zeroAddress } from "viem";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import type { ChannelView } from "./admission.ts";

/**
 * The channel as the chain has it, or null where it was not created at the final block.
 *
 * Read from the RPC and not from `onchain.channel`: those rows mirror the latest block, so a deposit that may still be
 * reorganised looks like money, and they lag behind a withdrawal by the indexer's delay. Here what must not be taken
 * back (creation, deposits) is read at the `finalized` block and what must be seen early (withdrawal, claims) at the latest.
 */
export async function readChannel(
  client: PublicClient,
  escrow: Address,
  channelId: Hex,
): Promise<ChannelView | null> {
  const call = { address: escrow, abi: channelEscrowAbi, args: [channelId] } as const;
  const [config, final, latest] = await Promise.all([
    client.readContract({ ...call, functionName: "configOf", blockTag: "finalized" }),
    client.readContract({ ...call, functionName: "channelOf", blockTag: "finalized" }),
    client.readContract({ ...call, functionName: "channelOf" }),
  ]);
  if (config.payer === zeroAddress) return null;
  return {
    payer: lower(config.payer),
    payerAuthorizer: lower(config.payerAuthorizer),
    receiver: lower(config.receiver),
    receiverAuthorizer: lower(config.receiverAuthorizer),
    finalBalanceWei: final.balance,
    balanceWei: latest.balance,
    totalClaimedWei: latest.totalClaimed,
    isWithdrawing: latest.withdrawFinalizeAfter !== 0,
  };
}

function lower(address: Address): Hex {
  return address.toLowerCase() as Hex;
}
