import { type Hex, zeroHash } from "viem";
import { dataShare, scoreQuantumWad } from "#engine/score/quantise";
import { sum } from "#schema/apportion";
import { allocateEpoch, type Standing } from "#settlement/allocation/epoch";
import {
  type BatchFacts,
  type ContributionFacts,
  type Facts,
  type ModelFacts,
  type ReceiptFacts,
  unscored,
} from "#settlement/allocation/facts";
import type { CheckedReceipt } from "#settlement/blob/batch";
import { roles } from "#settlement/blob/codes";
import * as provenance from "#settlement/blob/provenance";
import type { CheckedBatch } from "./batches.ts";
import type { CheckedEpoch } from "./epoch.ts";
import { BrokenLink, check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";

/**
 * Recompute who gets what from the scores in the payload, the candidates in the receipts, and votes, shares, lineage
 * and retractions in the chain's logs; every entry, carried amount and reward must come out the same.
 * The scores themselves are taken from the payload: recomputing them takes the engine and the model.
 */
export async function checkAllocation(
  sources: Sources,
  epoch: CheckedEpoch,
  batches: readonly CheckedBatch[],
  before: Standing,
  report: Report,
): Promise<void> {
  const given = epoch.provenance;
  const facts = await factsFromLogs(sources, given);
  const computed = allocateEpoch(
    batches.map((batch) => batchFacts(batch, given)),
    before,
    facts,
  );
  const isSame = bytesOf(computed) === bytesOf(given);
  const text = "entries, carried amounts and rewards recomputed from the payload's scores";
  check(
    report,
    "allocation",
    given.methodHash,
    isSame,
    isSame ? text : `epoch ${given.epoch}: ${difference(computed, given)}`,
  );
}

type Allocated = Pick<provenance.Provenance, "receipts" | "carried" | "rewards">;

function bytesOf({ receipts, carried, rewards }: Allocated): string {
  const frame = { epoch: 0n, methodHash: zeroHash, fromBlock: 0n, toBlock: 0n, receiptsRoots: [] };
  return Buffer.from(provenance.encode({ ...frame, receipts, carried, rewards })).toString("hex");
}

function difference(computed: Allocated, given: Allocated): string {
  const only = (receipts: Allocated["receipts"]) => bytesOf({ receipts, carried: [], rewards: [] });
  const index = given.receipts.findIndex((r, i) => {
    const ours = computed.receipts[i];
    return ours === undefined || only([ours]) !== only([r]);
  });
  if (index >= 0) return `receipt ${given.receipts[index]!.receiptDigest} has other entries`;
  return "the carried amounts or the rewards differ";
}

function batchFacts({ settled, usage, receipts }: CheckedBatch, given: provenance.Provenance): BatchFacts {
  return {
    batchId: settled.args.batchId,
    poolWei: settled.args.poolShare,
    usage: usage.map(({ modelId, amount }) => ({ modelId, amountWei: amount })),
    receipts: receipts.map((opened) => receiptFacts(opened, given)),
  };
}

function receiptFacts(
  { digest, receipt, disclosed }: CheckedReceipt,
  given: provenance.Provenance,
): ReceiptFacts {
  const scored = given.receipts.find((r) => r.receiptDigest === digest);
  if (scored === undefined) throw new BrokenLink("allocation", `receipt ${digest} is missing from the epoch`);
  const { valueFullWad, valueEmptyWad, dataShareWad } = scored;
  const base = { receiptDigest: digest, modelId: receipt.modelId, feeWei: receipt.fee };
  if (isUnscored(scored)) return { ...base, ...unscored };
  const scoreOf = new Map(
    scored.entries.filter((e) => e.role === roles.contributor).map((e) => [e.subject, e.scoreWad]),
  );
  const candidates = disclosed.candidates.map(({ chunkId, inContext }) => ({
    chunkId,
    inContext,
    scoreWad: inContext ? (scoreOf.get(chunkId) ?? 0n) : 0n,
  }));
  return { ...base, valueFullWad, valueEmptyWad, dataShareWad, candidates };
}

/**
 * What the published scores must be among themselves: Shapley values of the chunks in context sum to v(N) − v(∅), and
 * the data share follows from the two values.
 */
export function checkScores({ provenance: given }: CheckedEpoch, report: Report): void {
  const wrong = given.receipts.find((r) => !isUnscored(r) && !isConsistent(r));
  const text = "Σ scores = v(N) − v(∅) and data share = (v(N) − v(∅)) / −v(∅), scores taken from the payload";
  check(
    report,
    "scores",
    given.methodHash,
    wrong === undefined,
    wrong ? `receipt ${wrong.receiptDigest}: not so` : text,
  );
}

function isUnscored({ valueEmptyWad, dataShareWad }: provenance.ReceiptScore): boolean {
  return valueEmptyWad === unscored.valueEmptyWad && dataShareWad === unscored.dataShareWad;
}

function isConsistent(r: provenance.ReceiptScore): boolean {
  const scores = r.entries.filter((e) => e.role === roles.contributor).map((e) => e.scoreWad);
  const [empty, full] = [r.valueEmptyWad / scoreQuantumWad, r.valueFullWad / scoreQuantumWad];
  return sum(scores) === r.valueFullWad - r.valueEmptyWad && dataShare(empty, full) === r.dataShareWad;
}

/** Which contribution a chunk is of is the payload's word here; `chunk` links check it for the chunks paid. */
async function factsFromLogs(sources: Sources, given: provenance.Provenance): Promise<Facts> {
  const contributions = await contributionsFromLogs(sources, given.toBlock);
  const models = await modelsFromLogs(sources, given.toBlock);
  const entries = given.receipts.flatMap((r) => r.entries).filter((e) => e.role === roles.contributor);
  const contributionIdOf = new Map(entries.map((e) => [e.subject, e.contributionBatchId]));
  return {
    contributionOf: (chunkId) => contributions.get(contributionIdOf.get(chunkId) ?? 0n),
    modelOf: (modelId) => models.get(modelId),
  };
}

async function contributionsFromLogs(
  sources: Sources,
  toBlock: bigint,
): Promise<Map<bigint, ContributionFacts>> {
  const [datanets, submitted, retracted, votes] = await Promise.all([
    sources.events("DatanetRegistry", "DatanetCreated", toBlock),
    sources.events("DatanetRegistry", "ContributionSubmitted", toBlock),
    sources.events("DatanetRegistry", "ContributionRetracted", toBlock),
    sources.events("DatanetRegistry", "ValidationVote", toBlock),
  ]);
  const gone = new Set(retracted.map(({ args }) => args.batchId));
  const votesOf = Map.groupBy(
    votes.map(({ args }) => args).filter((vote) => vote.support && vote.weight > 0n),
    (vote) => vote.batchId,
  );
  const datanetOf = new Map(datanets.map(({ args }) => [args.datanetId, args]));
  return new Map(
    submitted.map(({ args: { batchId, contributor, datanetId } }) => {
      const { owner, params } = datanetOf.get(datanetId)!;
      const cast = (votesOf.get(batchId) ?? []).map((v) => ({
        validator: lowercase(v.validator),
        weight: v.weight,
      }));
      const facts: ContributionFacts = {
        contributionBatchId: batchId,
        contributor: lowercase(contributor),
        isRetracted: gone.has(batchId),
        datanetOwner: lowercase(owner),
        ownerBps: params.ownerBps,
        validatorBps: params.validatorBps,
        votes: cast.sort((a, b) => (a.validator < b.validator ? -1 : 1)),
      };
      return [batchId, facts];
    }),
  );
}

async function modelsFromLogs(sources: Sources, toBlock: bigint): Promise<Map<Hex, ModelFacts>> {
  const registered = await sources.events("ModelRegistry", "ModelRegistered", toBlock);
  const edges = await sources.events("ModelRegistry", "LineageEdge", toBlock);
  const edgesOf = Map.groupBy(
    edges.map(({ args }) => args),
    (edge) => edge.childId,
  );
  return new Map(
    registered.map(({ args: { modelId, owner, params } }) => {
      const own = edgesOf.get(modelId) ?? [];
      const parents = own
        .map(({ parentId, weightBps }) => ({ modelId: parentId, weightBps }))
        .sort((a, b) => (a.modelId < b.modelId ? -1 : 1));
      const depth = Math.max(0, ...own.map((edge) => edge.depth));
      return [modelId, { modelId, owner: lowercase(owner), ownerBps: params.ownerBps, depth, parents }];
    }),
  );
}

function lowercase(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
