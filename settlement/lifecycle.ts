import { type Hex, hexToBytes } from "viem";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { finalBlock } from "#schema/finality";
import { type Adopted, adoptable, describeAdopted, nothingAdopted } from "./adoption.ts";
import { usageOf } from "./allocation/usage.ts";
import { type Computed, computeEpoch } from "./compute.ts";
import {
  type ChainEpoch,
  daRefOf,
  epochStatus,
  type Ledger,
  type Proposal,
  usagesMax,
  type Wallet,
} from "./ledger.ts";
import { batchesIn, loadBatchFacts, methodText } from "./loaders/batches.ts";
import { loadFacts } from "./loaders/facts.ts";
import { findUnclassified } from "./loaders/reputation.ts";
import {
  deleteRun,
  type EpochRun,
  entriesOf,
  indexedEpoch,
  insertComputed,
  latestRun,
  moveRun,
  standingBefore,
} from "./loaders/runs.ts";
import { loadUnavailable } from "./loaders/unavailable.ts";
import { planToBlocks } from "./plan.ts";
import { assertPostable, assertSameContent, contentOf, EpochMismatchError, headerOf } from "./proposal.ts";
import { zeroRoot } from "./tree/tree.ts";

/**
 * One epoch's way to the chain. settlement alone writes the state; one step per call of `advance`.
 *
 *   (none) ──rows scored──▶ computed ──dispersed──▶ dispersed ──propose──▶ proposed ──finalised, final──▶ final
 *                              │ stands on chain        │ stands on chain       │ ▲
 *                              └──────────adopt─────────┴──────────────────────▶┘ │ lost in a reorg: dispersed
 *              disputed: waits for the arbiter, who rejects it or not; rejected by us when he does not rule in time
 *                                                        rejected: rows deleted, computed again
 *
 * Crash in any state: the row is read again, and so is the chain before anything is posted. Loss: at most a blob
 * nobody refers to (crash after dispersal) or a transaction that is found on chain instead of sent again.
 */
export type Context = {
  db: Drizzle;
  ledger: Ledger;
  chainId: bigint;
  distributor: Hex;
  limits: { epochBatches: number; ageMsMax: number };
  /** Payload of a certificate, checked against its commitment; null without DA. @throws EigenDaError */
  retrieve: ((certificate: Uint8Array) => Promise<Uint8Array>) | null;
  /** Null for a follower, which never posts. `disperse` returns the certificate. */
  poster: {
    wallet: Wallet;
    disperse: (payload: Uint8Array) => Promise<Uint8Array>;
    payloadBytesMax: number;
  } | null;
};

/** What one step did; `waiting` says for what. */
export type Step = { did: "moved" | "waiting"; epochId: bigint; what: string };

/**
 * Take one step. Safe to call again after any failure.
 * @throws EpochMismatchError, ZeroRootError, RootAboveFundsError (not retryable); errors of chain, database and DA.
 */
export async function advance(context: Context): Promise<Step> {
  const run = await latestRun(context.db);
  if (run === undefined || run.state === "final") return open(context, run);
  const chain = await context.ledger.epochOf(run.epochId);
  const stands = chain.status !== epochStatus.none && chain.status !== epochStatus.rejected;
  if (stands && run.state !== "proposed") return adopt(context, run);
  if (run.state === "computed") return disperse(context, run);
  if (run.state === "dispersed") return propose(context, run);
  if (chain.status === epochStatus.rejected) return forget(context, run);
  if (chain.status === epochStatus.none) return repost(context, run);
  return finish(context, run, chain);
}

/** (none) → computed. The range comes from the chain where the epoch stands there, else from the plan. */
async function open(context: Context, previous: EpochRun | undefined): Promise<Step> {
  const { db, ledger } = context;
  const epochId = (previous?.epochId ?? 0n) + 1n;
  const final = await finalBlock({ db, client: ledger.client });
  if (final === undefined) return waiting(epochId, "the indexer's views");
  const ranges = await rangesOf(context, epochId, previous?.toBlock ?? 0n, final.blockNumber);
  if (ranges.length === 0) return waiting(epochId, "final batches");
  for (const range of ranges) {
    if (range.toBlock > final.blockNumber) return waiting(epochId, `block ${range.toBlock} to become final`);
    const { result, adopted } = await computeLike(context, previous, range);
    if ("missing" in result) return waiting(epochId, result.missing);
    if (result.run.rewardRoot === zeroRoot || result.run.attributionRoot === zeroRoot) continue;
    if (context.poster !== null && payloadBytes(result) > context.poster.payloadBytesMax) {
      return openShorter(context, previous, payloadBytes(result));
    }
    await insertComputed(db, result);
    const said = `computed up to block ${range.toBlock}, reward root ${result.run.rewardRoot}`;
    return moved(epochId, `${said}${describeAdopted(adopted)}`);
  }
  return waiting(epochId, "a batch that pays someone: a zero root is not proposed");
}

/** Half the batches, where the payload of all of them does not fit into a blob. */
function openShorter(context: Context, previous: EpochRun | undefined, givenBytes: number): Promise<Step> {
  const { limits, poster } = context;
  if (limits.epochBatches === 1) throw new ProvenanceTooLargeError(poster!.payloadBytesMax, givenBytes);
  const epochBatches = Math.floor(limits.epochBatches / 2);
  return open({ ...context, limits: { ...limits, epochBatches } }, previous);
}

function payloadBytes({ run }: Computed): number {
  return (run.payload.length - 2) / 2;
}

/** `methodHash` and `proposal` are null where no epoch stands on chain yet: the rows decide. */
type Range = { toBlock: bigint; methodHash: Hex | null; proposal: Proposal | null };

/** Ranges to try, shortest first: a longer one is needed only where the shorter pays nobody. */
async function rangesOf(
  { db, ledger, limits, poster }: Context,
  epochId: bigint,
  fromBlock: bigint,
  finalBlockNumber: bigint,
): Promise<Range[]> {
  const { status } = await ledger.epochOf(epochId);
  if (status !== epochStatus.none && status !== epochStatus.rejected) {
    const proposal = await ledger.proposalOf(epochId, fromBlock);
    return [{ toBlock: proposal.toBlock, methodHash: proposal.methodHash, proposal }];
  }
  if (poster === null) return [];
  const batches = await batchesIn(db, fromBlock, finalBlockNumber);
  const { timestamp } = await ledger.client.getBlock({ blockNumber: finalBlockNumber });
  const toBlocks = planToBlocks(batches, { ...limits, finalTimestamp: timestamp });
  return toBlocks.map((toBlock) => ({ toBlock, methodHash: null, proposal: null }));
}

/** As the rows say; where that is not what stands on chain, with the poster's word on what could not be had. */
async function computeLike(context: Context, previous: EpochRun | undefined, range: Range) {
  const result = await compute(context, previous, range, nothingAdopted);
  const { proposal } = range;
  const isSame = "run" in result && result.run.contentHash === proposal?.contentHash;
  if (proposal === null || isSame) return { result, adopted: nothingAdopted };
  const adopted = await adoptable(context.retrieve, proposal);
  return adopted.leftOut.length + adopted.unavailable.length === 0
    ? { result, adopted }
    : { result: await compute(context, previous, range, adopted), adopted };
}

/** The epoch's rows from one snapshot of the database; or which row is still missing. */
async function compute(
  { db, chainId, distributor }: Context,
  previous: EpochRun | undefined,
  { toBlock, methodHash }: Range,
  adopted: Adopted,
): Promise<Computed | { missing: string }> {
  const fromBlock = previous?.toBlock ?? 0n;
  const read = await db.transaction(
    async (tx) => {
      const settled = await batchesIn(tx, fromBlock, toBlock);
      const unclassified = await findUnclassified(tx, toBlock);
      if (unclassified !== undefined)
        return { ready: false as const, missing: `classes of contribution ${unclassified}` };
      const scored = await loadBatchFacts(tx, settled, methodHash, adopted);
      if (!scored.ready) return scored;
      const kept = scored.batches.flatMap(({ batchId, receipts }) => (receipts.length > 0 ? [batchId] : []));
      const unavailable = await loadUnavailable(tx, { fromBlock, toBlock }, kept, adopted);
      const facts = await loadFacts(tx, { batches: scored.batches, unavailable }, toBlock);
      const before = await standingBefore(tx, previous);
      const hash = methodHash ?? scored.methodHash ?? previous?.methodHash ?? zeroRoot;
      const method = { methodHash: hash, method: await methodText(tx, hash) };
      return { ...scored, ...method, unavailable, settled, facts, before };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
  if (!read.ready) return read;
  const { method, settled, batches, leftOut, unavailable, facts, before } = read;
  return computeEpoch({
    epochId: (previous?.epochId ?? 0n) + 1n,
    methodHash: read.methodHash,
    method,
    fromBlock,
    toBlock,
    settled,
    batches,
    leftOut,
    unavailable,
    facts,
    reputations: facts.reputations,
    before,
    scope: { chainId, distributor },
  });
}

/** computed or dispersed → proposed, because the chain has the epoch already: after a crash, or in a rebuild. */
async function adopt({ db, ledger }: Context, run: EpochRun): Promise<Step> {
  const proposal = await ledger.proposalOf(run.epochId, run.fromBlock);
  assertSameContent(run.epochId, contentOf(run), proposal);
  const { daCommitment, daRef, txHash } = proposal;
  await moveRun(db, run, { state: "proposed", daCommitment, daRef, proposeTx: txHash });
  return moved(run.epochId, `stands on chain as computed, adopted from ${txHash}`);
}

async function disperse({ db, ledger, poster }: Context, run: EpochRun): Promise<Step> {
  if (poster === null) return waiting(run.epochId, "its proposal");
  assertPostable(run.epochId, contentOf(run), await ledger.fundedWei());
  const certificate = await poster.disperse(hexToBytes(run.payload));
  const { daCommitment, daRef } = daRefOf(certificate);
  await moveRun(db, run, { state: "dispersed", daCommitment, daRef });
  return moved(run.epochId, `dispersed, certificate hash ${daRef}`);
}

async function propose({ db, ledger, poster }: Context, run: EpochRun): Promise<Step> {
  if (poster === null) return waiting(run.epochId, "its proposal");
  assertPostable(run.epochId, contentOf(run), await ledger.fundedWei());
  const proposeTx = await ledger.propose(poster.wallet, run.epochId, headerOf(run), run.daCommitment!);
  await moveRun(db, run, { state: "proposed", proposeTx });
  return moved(run.epochId, `proposed in ${proposeTx}`);
}

/** proposed → dispersed: the chain no longer knows our proposal. The certificate still holds. */
async function repost({ db }: Context, run: EpochRun): Promise<Step> {
  await moveRun(db, run, { state: "dispersed", proposeTx: null });
  return moved(run.epochId, "proposal lost in a reorg, to be proposed again");
}

/** A dispute was upheld: compute again from the rows as they are now. */
async function forget({ db }: Context, run: EpochRun): Promise<Step> {
  await deleteRun(db, run.epochId);
  return moved(run.epochId, "rejected, to be computed again");
}

/** proposed → final, through finalize after the window. */
async function finish(context: Context, run: EpochRun, chain: ChainEpoch): Promise<Step> {
  const { db, ledger, poster } = context;
  const isFinal = chain.status === epochStatus.finalized;
  if (!isFinal && !(await ledger.isOpen(headerOf(run)))) return adopt(context, run);
  if (chain.status === epochStatus.disputed) return awaitArbiter(context, run, chain);
  if (chain.status === epochStatus.proposed) {
    const { timestamp } = await ledger.client.getBlock();
    if (timestamp < chain.deadline) return waiting(run.epochId, `challenge window to ${chain.deadline}`);
    if (poster === null) return waiting(run.epochId, "its finalisation");
    const finalizeTx = await ledger.finalize(poster.wallet, run.epochId, headerOf(run));
    await moveRun(db, run, { finalizeTx });
    return moved(run.epochId, `finalised in ${finalizeTx}`);
  }
  const recorded = await recordUsage(context, run.epochId);
  if (recorded !== null) return recorded;
  const final = await finalBlock({ db, client: ledger.client });
  const indexed = await indexedEpoch(db, run.epochId);
  const finalizedBlock = indexed?.finalizedBlock ?? null;
  if (final === undefined || finalizedBlock === null || finalizedBlock > final.blockNumber) {
    return waiting(run.epochId, "its finalisation to become final");
  }
  const { daRef, finalizedTx, proposedTx } = indexed!;
  if (daRef !== run.daRef) return adopt(context, run);
  assertSameContent(run.epochId, contentOf(run), indexed!);
  await moveRun(db, run, { state: "final", finalizeTx: finalizedTx, proposeTx: proposedTx });
  return moved(run.epochId, "final");
}

/**
 * What each Datanet's chunks earned goes on chain once the epoch is final there. What stands already must be ours; a
 * follower waits for nobody to record the rest. @throws EpochMismatchError
 */
async function recordUsage({ db, ledger, poster }: Context, epochId: bigint): Promise<Step | null> {
  const { receipts, datanetOf } = await entriesOf(db, epochId);
  const usages = usageOf(epochId, receipts, (id) => datanetOf.get(id)!);
  const missing = [];
  for (const usage of usages) {
    const stored = await ledger.usageRootOf(epochId, usage.datanetId);
    if (stored === zeroRoot) missing.push(usage);
    else if (stored !== usage.usageRoot)
      throw new EpochMismatchError(
        epochId,
        `usageRoot of Datanet ${usage.datanetId}`,
        usage.usageRoot,
        stored,
      );
  }
  if (poster === null || missing.length === 0) return null;
  const hash = await ledger.recordUsage(poster.wallet, epochId, missing.slice(0, usagesMax));
  return moved(epochId, `usage of ${missing.length} Datanets recorded in ${hash}`);
}

/** A dispute nobody rules on would hold up every later epoch: rejected once the chain's time for it is over. */
async function awaitArbiter(
  { ledger, poster }: Context,
  { epochId }: EpochRun,
  { deadline }: ChainEpoch,
): Promise<Step> {
  const { timestamp } = await ledger.client.getBlock();
  if (timestamp < deadline) return waiting(epochId, `the arbiter, to ${deadline}`);
  if (poster === null) return waiting(epochId, "its rejection");
  return moved(
    epochId,
    `not ruled on in time, rejected in ${await ledger.rejectUnresolved(poster.wallet, epochId)}`,
  );
}

function moved(epochId: bigint, what: string): Step {
  return { did: "moved", epochId, what };
}

function waiting(epochId: bigint, what: string): Step {
  return { did: "waiting", epochId, what };
}

/** One batch alone makes a provenance payload that no blob holds. */
export class ProvenanceTooLargeError extends PipelineError {
  override readonly name = "ProvenanceTooLargeError";
  constructor(maxBytes: number, givenBytes: number) {
    super(
      `The provenance of one batch is too large for a blob: lower BATCH_RECEIPTS or take a longer SRS. Max: ${maxBytes} bytes. Given: ${givenBytes} bytes.`,
      { code: "provenance_too_large", retryable: false },
    );
  }
}
