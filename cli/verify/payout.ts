import type { Hex } from "viem";
import { sum } from "#schema/apportion";
import type { Balances } from "#settlement/allocation/epoch";
import { checkAllocation, checkScores } from "./allocation.ts";
import { checkAccumulator, checkBatch } from "./batches.ts";
import type { Checked } from "./checked.ts";
import { checkChunks } from "./chunk.ts";
import { checkClaims, type Payout } from "./claim.ts";
import { type CheckedEpoch, checkEpoch, finalizedHeaders, type Header } from "./epoch.ts";
import { BrokenLink, check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";
import { checkStandings } from "./standings.ts";
import { checkUnavailable } from "./unavailable.ts";
import { checkUsage } from "./usage.ts";

/**
 * Check a claim transaction from the payout to the contributors, link by link, from chain and DA alone: every epoch
 * that made the amounts, every batch of those epochs, every chunk the accounts were paid for.
 * What stood before the first of these epochs is taken from the blob of the one before, checked against its roots.
 * What `checked` holds already is not checked again; what this call checks is added to it.
 * @throws BrokenLink naming the first link that does not hold; CannotCheck where something could not be had.
 */
export async function verifyPayout(
  sources: Sources,
  txHash: Hex,
  report: Report,
  checked: Checked,
): Promise<void> {
  const payouts = await checkClaims(sources, txHash, report);
  const { blockNumber } = payouts[0]!.claim;
  const headers = await finalizedHeaders(sources, blockNumber);
  const first = payouts.map(({ previousEpoch }) => previousEpoch).sort(ascending)[0]! + 1n;
  const last = payouts
    .map(({ claim }) => claim.args.epoch)
    .sort(ascending)
    .at(-1)!;
  const epochs: CheckedEpoch[] = [];
  const walk = { sources, headers, report, checked };
  let before = await balancesBefore(walk, first);
  for (let id = first; id <= last; id++) {
    const epoch = await checkedEpoch(walk, id);
    if (!checked.made.has(id)) {
      await checkMaking(sources, epoch, { headers, before, report });
      await checkUsage(sources, epoch, blockNumber, report);
    }
    checked.made.add(id);
    epochs.push(epoch);
    before = epoch.provenance;
  }
  for (const payout of payouts) {
    checkReward(payout, epochs);
    await checkChunks(sources, epochs, { account: payout.claim.args.account, report, checked });
  }
}

type Walk = { sources: Sources; headers: readonly Header[]; report: Report; checked: Checked };
type Making = { headers: readonly Header[]; before: Balances; report: Report };

/** The epoch's roots and sums, checked now or before. */
async function checkedEpoch({ sources, headers, report, checked }: Walk, id: bigint): Promise<CheckedEpoch> {
  const header = headerOf(headers, id);
  const known = checked.epochs.get(id);
  if (known?.header.daRef === header.daRef) {
    report({ name: "epoch", ok: true, hash: header.rewardRoot, detail: `epoch ${id}, checked above` });
    return known;
  }
  const epoch = await checkEpoch(sources, header, report);
  checked.epochs.set(id, epoch);
  return epoch;
}

/** How an epoch came about: its batches, its scores, its allocation, its sums. */
async function checkMaking(sources: Sources, epoch: CheckedEpoch, { headers, before, report }: Making) {
  const previous = headers.find((header) => header.epoch === epoch.header.epoch - 1n);
  const settled = await checkAccumulator(sources, epoch, previous, report);
  const batches = [];
  for (const one of settled) batches.push(await checkBatch(sources, one, epoch, report));
  await checkUnavailable(sources, epoch, report);
  checkScores(epoch, report);
  await checkAllocation(sources, epoch, batches, before, report);
  await checkStandings(sources, epoch, headers, report);
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

async function balancesBefore(walk: Walk, first: bigint): Promise<Balances> {
  if (first === 1n) return { carried: [], rewards: [] };
  return (await checkedEpoch(walk, first - 1n)).provenance;
}

function headerOf(headers: readonly Header[], id: bigint): Header {
  const header = headers.find(({ epoch }) => epoch === id);
  if (header === undefined) throw new BrokenLink("epoch", `epoch ${id} was not finalised before the claim`);
  return header;
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
