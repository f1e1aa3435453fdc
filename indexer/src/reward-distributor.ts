import { claim, distributor, rewardAccount } from "ponder:schema";
import { type Hex, zeroHash } from "viem";
import type { Args } from "./handler.ts";

function emptyDistributor(id: Hex) {
  return { id, epoch: 0n, root: zeroHash, rootTotal: 0n, totalFunded: 0n, totalClaimed: 0n };
}

export async function applyFunded({ event, context }: Args<"RewardDistributor:Funded">) {
  const { totalFunded } = event.args;
  await context.db
    .insert(distributor)
    .values({ ...emptyDistributor(event.log.address), totalFunded })
    .onConflictDoUpdate({ totalFunded });
}

export async function applyRootActivated({ event, context }: Args<"RewardDistributor:RootActivated">) {
  const { epoch, root, rootTotal } = event.args;
  await context.db
    .insert(distributor)
    .values({ ...emptyDistributor(event.log.address), epoch, root, rootTotal })
    .onConflictDoUpdate({ epoch, root, rootTotal });
}

export async function applyRewardClaimed({ event, context }: Args<"RewardDistributor:Claimed">) {
  const { account, epoch, recipient, amount, cumulative, totalClaimed } = event.args;
  await context.db.insert(claim).values({
    eventId: event.id,
    account,
    epochId: epoch,
    recipient,
    amount,
    cumulative,
    blockNumber: event.block.number,
    txHash: event.transaction.hash,
    logIndex: event.log.logIndex,
  });
  await context.db
    .insert(rewardAccount)
    .values({ account, claimed: cumulative })
    .onConflictDoUpdate({ claimed: cumulative });
  await context.db.update(distributor, { id: event.log.address }).set({ totalClaimed });
}

/** The zero address takes the claimer away. */
export async function applyClaimerSet({ event, context }: Args<"RewardDistributor:ClaimerSet">) {
  const { account, claimer } = event.args;
  await context.db
    .insert(rewardAccount)
    .values({ account, claimed: 0n, claimer })
    .onConflictDoUpdate({ claimer });
}
