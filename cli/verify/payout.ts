import type { Hex } from "viem";
import { sum } from "#schema/apportion";
import type { Standing } from "#settlement/allocation/epoch";
import { checkAllocation, checkScores } from "./allocation.ts";
import { checkAccumulator, checkBatch } from "./batches.ts";
import { checkChunks } from "./chunk.ts";
import { checkClaims, type Payout } from "./claim.ts";
import { type CheckedEpoch, checkEpoch, finalizedHeaders, type Header } from "./epoch.ts";
import { BrokenLink, check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";

/**
 * Check a claim transaction from the payout to the contributors, link by link, from chain and DA alone: every epoch
 * that made the amounts, every batch of those epochs, every chunk the accounts were paid for.
 * What stood before the first of these epochs is taken from the blob of the one before, checked against its roots.
 * @throws BrokenLink naming the first link that does not hold; CannotCheck where something could not be had.
 */
export async function verifyPayout(sources: Sources, txHash: Hex, report: Report): Promise<void> {
  const payouts = await checkClaims(sources, txHash, report);
  const { blockNumber } = payouts[0]!.claim;
  const headers = await finalizedHeaders(sources, blockNumber);
  const first = payouts.map(({ previousEpoch }) => previousEpoch).sort(ascending)[0]! + 1n;
  const last = payouts
    .map(({ claim }) => claim.args.epoch)
    .sort(ascending)
    .at(-1)!;
  const epochs: CheckedEpoch[] = [];
  let before = await standingBefore(sources, headers, first, report);
  for (let id = first; id <= last; id++) {
    const epoch = await checkEpoch(sources, headerOf(headers, id), report);
    await checkMaking(sources, epoch, { headers, before, report });
    epochs.push(epoch);
    before = epoch.provenance;
  }
  for (const payout of payouts) {
    checkReward(payout, epochs);
    await checkChunks(sources, epochs, payout.claim.args.account, report);
  }
}

type Making = { headers: readonly Header[]; before: Standing; report: Report };

/** How an epoch came about: its batches, its scores, its allocation, its sums. */
async function checkMaking(sources: Sources, epoch: CheckedEpoch, { headers, before, report }: Making) {
  const previous = headers.find((header) => header.epoch === epoch.header.epoch - 1n);
  const settled = await checkAccumulator(sources, epoch, previous, report);
  const batches = [];
  for (const one of settled) batches.push(await checkBatch(sources, one, epoch, report));
  checkScores(epoch, report);
  await checkAllocation(sources, epoch, batches, before, report);
  await checkConservation(sources, epoch, report);
}

/** fees = splits + leaves + carried, over every batch ever settled up to the epoch. */
async function checkConservation(sources: Sources, { header, provenance }: CheckedEpoch, report: Report) {
  const settled = await sources.events("SettlementHub", "BatchSettled", header.toBlock);
  const feesWei = sum(settled.map(({ args }) => args.total));
  const splitsWei = sum(settled.map(({ args }) => args.nodeShare + args.treasuryShare));
  const carriedWei = sum(provenance.carried.map(({ amountWei }) => amountWei));
  const isHeld = feesWei === splitsWei + header.rootTotal + carriedWei;
  const text = `fees ${feesWei} = splits ${splitsWei} + leaves ${header.rootTotal} + carried ${carriedWei} wei`;
  check(report, "conservation", null, isHeld, text);
}

/** The claimed amount is what the epoch's payload gives the account. */
function checkReward({ claim }: Payout, epochs: readonly CheckedEpoch[]): void {
  const { account, epoch, cumulative } = claim.args;
  const { rewards } = epochs.find(({ header }) => header.epoch === epoch)!.provenance;
  const given = rewards.find((reward) => reward.account === account.toLowerCase())?.cumulativeWei;
  if (given !== cumulative) {
    throw new BrokenLink(
      "leaf",
      `epoch ${epoch} gives ${account} ${given ?? 0n} wei, the claim took ${cumulative}`,
    );
  }
}

async function standingBefore(
  sources: Sources,
  headers: readonly Header[],
  first: bigint,
  report: Report,
): Promise<Standing> {
  if (first === 1n) return { carried: [], rewards: [] };
  return (await checkEpoch(sources, headerOf(headers, first - 1n), report)).provenance;
}

function headerOf(headers: readonly Header[], id: bigint): Header {
  const header = headers.find(({ epoch }) => epoch === id);
  if (header === undefined) throw new BrokenLink("epoch", `epoch ${id} was not finalised before the claim`);
  return header;
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
