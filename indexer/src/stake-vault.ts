import { stake } from "ponder:schema";
import type { Hex } from "viem";
import type { Args } from "./handler.ts";

/** A stake that no `Staked` has made: with a minimum of zero a contributor is locked without one. */
function emptyStake(scope: Hex, account: Hex) {
  return { scope, account, amount: 0n, unlockAt: 0n, locks: 0, slashed: 0n };
}

export async function applyStaked({ event, context }: Args<"StakeVault:Staked">) {
  const { scope, account, newStake } = event.args;
  await context.db
    .insert(stake)
    .values({ ...emptyStake(scope, account), amount: newStake })
    .onConflictDoUpdate({ amount: newStake });
}

export async function applyUnstakeRequested({ event, context }: Args<"StakeVault:UnstakeRequested">) {
  const { scope, account, unlockAt } = event.args;
  await context.db.update(stake, { scope, account }).set({ unlockAt });
}

export async function applyUnstaked({ event, context }: Args<"StakeVault:Unstaked">) {
  const { scope, account, newStake } = event.args;
  await context.db.update(stake, { scope, account }).set({ amount: newStake, unlockAt: 0n });
}

export async function applyStakeLocked({ event, context }: Args<"StakeVault:StakeLocked">) {
  const { scope, account, locks } = event.args;
  await context.db
    .insert(stake)
    .values({ ...emptyStake(scope, account), locks })
    .onConflictDoUpdate({ locks });
}

export async function applyStakeReleased({ event, context }: Args<"StakeVault:StakeReleased">) {
  const { scope, account, locks } = event.args;
  await context.db.update(stake, { scope, account }).set({ locks });
}

export async function applySlashed({ event, context }: Args<"StakeVault:Slashed">) {
  const { scope, account, amount, newStake } = event.args;
  await context.db
    .update(stake, { scope, account })
    .set((row) => ({ amount: newStake, slashed: row.slashed + amount }));
}

export async function applyUnstakeCancelled({ event, context }: Args<"StakeVault:UnstakeCancelled">) {
  const { scope, account } = event.args;
  await context.db.update(stake, { scope, account }).set({ unlockAt: 0n });
}
