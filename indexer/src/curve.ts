import { curve, curveBalance, curveTrade, tokenApproval } from "ponder:schema";
import { type Hex, zeroAddress } from "viem";
import type { Args } from "./handler.ts";

export async function applyCurveCreated({ event, context }: Args<"CurveFactory:CurveCreated">) {
  const { curve: address, params, ...created } = event.args;
  await context.db.insert(curve).values({
    address,
    ...created,
    ...params,
    capTokens: BigInt(params.capTokens),
    supply: 0n,
    reserve: 0n,
    fees: 0n,
    eventId: event.id,
  });
}

export async function applyBought({ event, context }: Args<"ModelCurve:Bought">) {
  const { buyer: trader, to: recipient, amount, cost: price, fee, supply, reserve } = event.args;
  const address = event.log.address;
  await context.db.insert(curveTrade).values({
    eventId: event.id,
    curve: address,
    isBuy: true,
    trader,
    recipient,
    amount,
    price,
    fee,
    blockNumber: event.block.number,
  });
  await context.db.update(curve, { address }).set((row) => ({ supply, reserve, fees: row.fees + fee }));
}

export async function applySold({ event, context }: Args<"ModelCurve:Sold">) {
  const { seller: trader, to: recipient, amount, proceeds: price, fee, supply, reserve } = event.args;
  const address = event.log.address;
  await context.db.insert(curveTrade).values({
    eventId: event.id,
    curve: address,
    isBuy: false,
    trader,
    recipient,
    amount,
    price,
    fee,
    blockNumber: event.block.number,
  });
  await context.db.update(curve, { address }).set((row) => ({ supply, reserve, fees: row.fees + fee }));
}

export async function applyFeesCollected({ event, context }: Args<"ModelCurve:FeesCollected">) {
  const { amount } = event.args;
  await context.db.update(curve, { address: event.log.address }).set((row) => ({ fees: row.fees - amount }));
}

export async function applyCurveTransfer({ event, context }: Args<"ModelCurve:Transfer">) {
  const { from, to, value } = event.args;
  const move = (account: Hex, change: bigint) =>
    context.db
      .insert(curveBalance)
      .values({ curve: event.log.address, account, balance: change })
      .onConflictDoUpdate((row) => ({ balance: row.balance + change }));
  if (from !== zeroAddress) await move(from, -value);
  if (to !== zeroAddress) await move(to, value);
}

export async function applyCurveApproval({ event, context }: Args<"ModelCurve:Approval">) {
  const { value, ...who } = event.args;
  await context.db
    .insert(tokenApproval)
    .values({ token: event.log.address, ...who, value })
    .onConflictDoUpdate({ value });
}
