import { type Hex, zeroHash } from "viem";
import { scoreQuantumWad } from "#engine/score/quantise";
import { playerValues } from "#engine/score/total";
import { sum } from "#schema/apportion";
import { type Allocation, allocateEpoch, type Balances } from "#settlement/allocation/epoch";
import {
  type BatchFacts,
  type ContributionFacts,
  type Facts,
  isUnscored,
  type ModelFacts,
  type ReceiptFacts,
  unscored,
} from "#settlement/allocation/facts";
import { ownedAt } from "#settlement/allocation/owners";
import { wad } from "#settlement/allocation/wad";
import type { CheckedReceipt } from "#settlement/blob/batch";
import { roles } from "#settlement/blob/codes";
import * as provenance from "#settlement/blob/provenance";
import type { CheckedBatch } from "./batches.ts";
import type { CheckedEpoch } from "./epoch.ts";
import { BrokenLink, check, type Report } from "./link.ts";
import { ownersFromLogs } from "./owners.ts";
import type { Sources } from "./sources.ts";

/**
 * Recompute who gets what from the scores, duplicates, gate and attenuations in the payload, the candidates in the
 * receipts, and votes, shares, lineage and retractions in the chain's logs; every entry, carried amount and reward must
 * come out the same. What is taken from the payload takes the engine, the model and all contributions to recompute.
 */
export async function checkAllocation(
  sources: Sources,
  epoch: CheckedEpoch,
  batches: readonly CheckedBatch[],
  before: Balances,
  report: Report,
): Promise<void> {
  const given = epoch.provenance;
  const without = batches.filter(({ receipts }) => receipts.length === 0);
  const leftOut = without.map(({ settled }) => settled.args.batchId).sort((a, b) => (a < b ? -1 : 1));
  if (leftOut.join() !== given.leftOut.map(({ batchId }) => batchId).join())
    throw new BrokenLink(
      "allocation",
      `epoch ${given.epoch} leaves out other batches than those without receipts`,
    );
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

type Allocated = Pick<provenance.Provenance, keyof Allocation>;

const nothing = { receipts: [], duplicates: [], gated: [], standings: [], carried: [], rewards: [] };

function bytesOf({ receipts, duplicates, gated, standings, carried, rewards }: Allocated): string {
  const frame = {
    epoch: 0n,
    methodHash: zeroHash,
    method: "",
    fromBlock: 0n,
    toBlock: 0n,
    receiptsRoots: [],
    leftOut: [],
    unavailable: [],
  };
  const allocated = { receipts, duplicates, gated, standings, carried, rewards };
  return Buffer.from(provenance.encode({ ...frame, ...allocated })).toString("hex");
}

function difference(computed: Allocated, given: Allocated): string {
  const only = (receipts: Allocated["receipts"]) => bytesOf({ ...nothing, receipts });
  const index = given.receipts.findIndex((r, i) => {
    const ours = computed.receipts[i];
    return ours === undefined || only([ours]) !== only([r]);
  });
  if (index >= 0) return `receipt ${given.receipts[index]!.receiptDigest} has other entries`;
  const names = ["duplicates", "gated", "standings", "carried", "rewards"] as const;
  const name = names.find(
    (list) =>
      bytesOf({ ...nothing, [list]: computed[list] }) !== bytesOf({ ...nothing, [list]: given[list] }),
  );
  return `its ${name ?? "receipts"} differ`;
}

function batchFacts({ settled, usage, receipts }: CheckedBatch, given: provenance.Provenance): BatchFacts {
  return {
    batchId: settled.args.batchId,
    poolWei: settled.args.poolShare,
    treasuryWei: settled.args.treasuryShare,
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
  const { valueBaseWad, valueContextWad, valueAdapterWad, valueBothWad, dataShareWad } = scored;
  const base = { receiptDigest: digest, modelId: receipt.modelId, feeWei: receipt.fee };
  if (isUnscored(scored)) return { ...base, ...unscored };
  const { passages, records, unexplainedWad } = influencesOf(scored);
  return {
    ...base,
    ...{ valueBaseWad, valueContextWad, valueAdapterWad, valueBothWad, dataShareWad },
    candidates: disclosed.candidates.map(({ chunkId, inContext }) => ({ chunkId, inContext })),
    passages: new Map(passages.map(({ subject, scoreWad }) => [subject, scoreWad])),
    records: records.map(({ subject, scoreWad }) => ({ chunkId: subject, scoreWad })),
    unexplainedWad,
  };
}

/** Scores as the entries tell them: one contributor's entry for each candidate, class and training record. */
export function influencesOf({ entries }: provenance.ReceiptScore) {
  const of = (role: number) => entries.filter((entry) => entry.role === role);
  return {
    passages: of(roles.contributor),
    records: of(roles.recordContributor),
    unexplainedWad: of(roles.adapterOwner)[0]?.scoreWad ?? 0n,
  };
}

/**
 * What the published scores must be among themselves: those of the passages sum to what the context is worth, those of
 * training records and the unexplained part are within the adapter's worth, and the data share follows from the values.
 */
export function checkScores({ provenance: given }: CheckedEpoch, report: Report): void {
  const wrong = given.receipts.find((r) => !isUnscored(r) && !isConsistent(r));
  const text =
    "Σ passages = worth of a context that helped, Σ records ≤ worth of the adapter, data share = (v(both) − v(base)) / −v(base), scores taken from the payload";
  check(
    report,
    "scores",
    given.methodHash,
    wrong === undefined,
    wrong ? `receipt ${wrong.receiptDigest}: not so` : text,
  );
}

function isConsistent(r: provenance.ReceiptScore): boolean {
  const { passages, records, unexplainedWad } = influencesOf(r);
  const scores = passages.map(({ scoreWad }) => scoreWad);
  const published = [r.valueBaseWad, r.valueContextWad, r.valueAdapterWad, r.valueBothWad, unexplainedWad];
  const all = [...published, ...scores, ...records.map(({ scoreWad }) => scoreWad)];
  if (all.some((value) => value % scoreQuantumWad !== 0n)) return false;
  const players = playerValues({
    baseMicro: r.valueBaseWad / scoreQuantumWad,
    contextMicro: r.valueContextWad / scoreQuantumWad,
    adapterMicro: r.valueAdapterWad / scoreQuantumWad,
    bothMicro: r.valueBothWad / scoreQuantumWad,
  });
  const [contextWad, adapterWad] = [
    players.contextMicro * scoreQuantumWad,
    players.adapterMicro * scoreQuantumWad,
  ];
  const passagesWad = sum(scores);
  // Of a context that did not help they are told as they were; all zero where they are noise (engine/score/total.ts).
  const isFree = !players.contextHelped || scores.every((score) => score === 0n);
  const helpedWad = sum(records.map(({ scoreWad }) => (scoreWad > 0n ? scoreWad : 0n)));
  const room = adapterWad > 0n ? adapterWad : 0n;
  return (
    players.dataShareWad === r.dataShareWad &&
    (isFree || passagesWad === contextWad) &&
    unexplainedWad >= 0n &&
    helpedWad + unexplainedWad <= room
  );
}

/** Which contribution a chunk is of is the payload's word here; `chunk` links check it for the chunks paid. */
async function factsFromLogs(sources: Sources, given: provenance.Provenance): Promise<Facts> {
  const contributions = await contributionsFromLogs(sources, given.toBlock);
  const models = await modelsFromLogs(sources, given.toBlock);
  const named: number[] = [roles.contributor, roles.recordContributor];
  const entries = given.receipts.flatMap((r) => r.entries).filter((e) => named.includes(e.role));
  const contributionIdOf = new Map(entries.map((e) => [e.subject, e.contributionBatchId]));
  const memberships = new Map(given.duplicates.map(({ chunkId, ...membership }) => [chunkId, membership]));
  const gated = new Set(given.gated.map(({ modelId, chunkId }) => `${modelId} ${chunkId}`));
  const attenuations = new Map(
    given.standings.map(({ modelId, account, attenuationWad }) => [`${modelId} ${account}`, attenuationWad]),
  );
  const facts: Facts = {
    contributionOf: (chunkId) => contributions.get(contributionIdOf.get(chunkId) ?? 0n),
    modelOf: (modelId) => models.get(modelId),
    membershipOf: (chunkId) => memberships.get(chunkId),
    passesGate: (modelId, chunkId) => !gated.has(`${modelId} ${chunkId}`),
    attenuationWad: ({ modelId, account }) => attenuations.get(`${modelId} ${account}`) ?? wad,
  };
  const owners = await ownersFromLogs(sources, given.toBlock);
  return { ...facts, ownedAt: (batchId) => ownedAt(facts, owners, batchId) };
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
        datanetId,
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
