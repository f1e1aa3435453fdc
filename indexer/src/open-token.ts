import { tokenAccount, tokenApproval, tokenAuthorization, tokenSupply } from "ponder:schema";
import { type Hex, zeroAddress } from "viem";
import type { Args } from "./handler.ts";

export async function applyTransfer({ event, context }: Args<"OpenToken:Transfer">) {
  const { from, to, value } = event.args;
  const move = (account: Hex, change: bigint) =>
    account === zeroAddress
      ? context.db
          .insert(tokenSupply)
          .values({ id: event.log.address, supply: -change, deposited: 0n, withdrawn: 0n })
          .onConflictDoUpdate((row) => ({ supply: row.supply - change }))
      : context.db
          .insert(tokenAccount)
          .values({ account, balance: change, votes: 0n })
          .onConflictDoUpdate((row) => ({ balance: row.balance + change }));
  await move(from, -value);
  await move(to, value);
}

export async function applyApproval({ event, context }: Args<"OpenToken:Approval">) {
  const { value, ...who } = event.args;
  await context.db
    .insert(tokenApproval)
    .values({ token: event.log.address, ...who, value })
    .onConflictDoUpdate({ value });
}

export async function applyDelegateChanged({ event, context }: Args<"OpenToken:DelegateChanged">) {
  const { delegator: account, toDelegate: delegate } = event.args;
  await context.db
    .insert(tokenAccount)
    .values({ account, balance: 0n, votes: 0n, delegate })
    .onConflictDoUpdate({ delegate });
}

export async function applyDelegateVotesChanged({ event, context }: Args<"OpenToken:DelegateVotesChanged">) {
  const { delegate: account, newVotes: votes } = event.args;
  await context.db.insert(tokenAccount).values({ account, balance: 0n, votes }).onConflictDoUpdate({ votes });
}

export async function applyAuthorizationUsed({ event, context }: Args<"OpenToken:AuthorizationUsed">) {
  await context.db.insert(tokenAuthorization).values({ ...event.args, isCanceled: false, eventId: event.id });
}

export async function applyAuthorizationCanceled({
  event,
  context,
}: Args<"OpenToken:AuthorizationCanceled">) {
  await context.db.insert(tokenAuthorization).values({ ...event.args, isCanceled: true, eventId: event.id });
}

/** Comes before its `Transfer` from zero, which moves balance and supply. */
export async function applyDeposit({ event, context }: Args<"OpenToken:Deposit">) {
  const { amount } = event.args;
  await context.db
    .insert(tokenSupply)
    .values({ id: event.log.address, supply: 0n, deposited: amount, withdrawn: 0n })
    .onConflictDoUpdate((row) => ({ deposited: row.deposited + amount }));
}

export async function applyWithdrawal({ event, context }: Args<"OpenToken:Withdrawal">) {
  const { amount } = event.args;
  await context.db
    .insert(tokenSupply)
    .values({ id: event.log.address, supply: 0n, deposited: 0n, withdrawn: amount })
    .onConflictDoUpdate((row) => ({ withdrawn: row.withdrawn + amount }));
}
