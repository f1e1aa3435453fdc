import { channel, receiverSettled } from "ponder:schema";
import type { Args } from "./handler.ts";

export async function applyChannelCreated({ event, context }: Args<"ChannelEscrow:ChannelCreated">) {
  const { channelId, config } = event.args;
  await context.db.insert(channel).values({
    id: channelId,
    ...config,
    withdrawDelay: BigInt(config.withdrawDelay),
    balance: 0n,
    totalClaimed: 0n,
    withdrawAmount: 0n,
    withdrawFinalizeAfter: 0n,
    createdBlock: event.block.number,
    eventId: event.id,
  });
}

export async function applyDeposited({ event, context }: Args<"ChannelEscrow:Deposited">) {
  const { channelId, newBalance } = event.args;
  await context.db.update(channel, { id: channelId }).set({ balance: newBalance });
}

export async function applyVoucherClaimed({ event, context }: Args<"ChannelEscrow:Claimed">) {
  const { channelId, newTotalClaimed } = event.args;
  await context.db.update(channel, { id: channelId }).set({ totalClaimed: newTotalClaimed });
}

export async function applyRefunded({ event, context }: Args<"ChannelEscrow:Refunded">) {
  const { channelId, newBalance } = event.args;
  await context.db.update(channel, { id: channelId }).set({ balance: newBalance });
}

export async function applyWithdrawInitiated({ event, context }: Args<"ChannelEscrow:WithdrawInitiated">) {
  const { channelId, amount, finalizeAfter } = event.args;
  await context.db
    .update(channel, { id: channelId })
    .set({ withdrawAmount: amount, withdrawFinalizeAfter: BigInt(finalizeAfter) });
}

export async function applyWithdrawFinalized({ event, context }: Args<"ChannelEscrow:WithdrawFinalized">) {
  const { channelId, amount } = event.args;
  await context.db.update(channel, { id: channelId }).set((row) => ({
    balance: row.balance - amount,
    withdrawAmount: 0n,
    withdrawFinalizeAfter: 0n,
  }));
}

export async function applySettled({ event, context }: Args<"ChannelEscrow:Settled">) {
  const { receiver, token, amount } = event.args;
  await context.db
    .insert(receiverSettled)
    .values({ receiver, token, settled: amount })
    .onConflictDoUpdate((row) => ({ settled: row.settled + amount }));
}
