import { type Generator, pcg32 } from "#runtime/inference/sampler";
import { sum } from "#schema/apportion";
import { recordInfluences } from "../adapter/influence.ts";
import { type GateRecord, throughGate } from "../composite/gate.ts";
import { net } from "../composite/netting.ts";
import { type Line, receiptShares } from "../composite/receipt-shares.ts";
import { classify } from "../duplicates/classes.ts";
import { dual, scores } from "../influence/efim.ts";
import { matrix, row } from "../influence/matrix.ts";
import { attenuationWad } from "../reputation/reputation.ts";
import { quantise } from "../score/quantise.ts";
import { playerValues, scaleRecords } from "../score/total.ts";
import { shuffled } from "./digits.ts";
import { gradients, type Labelled, losses, optimum } from "./logistic.ts";

/** Honest owners and their records, the attacker's records, and questions: the gate's and the window's are others. */
export type AttackSize = {
  readonly ownerCount: number;
  readonly recordsPerOwner: number;
  readonly junkCount: number;
  readonly gateCount: number;
  readonly windowCount: number;
  readonly dampingRatio: number;
  /** Whether an answer's pay counts only the records the engine lists: 16 that helped most, 16 that harmed most. */
  readonly isListed: boolean;
};

/** All 1,797 digits: 1,000 honest records, the rest questions. */
export const attackSize: AttackSize = {
  ownerCount: 20,
  recordsPerOwner: 50,
  junkCount: 200,
  gateCount: 397,
  windowCount: 400,
  dampingRatio: 0.003,
  isListed: false,
};

/** As the engine pays by default: with the largest gate a training may have, and with a small one and few answers. */
export const deployedSizes: Readonly<Record<"largest-gate" | "small-gate", AttackSize>> = {
  "largest-gate": { ...attackSize, gateCount: 256, isListed: true },
  "small-gate": { ...attackSize, gateCount: 64, windowCount: 64, isListed: true },
};

const ridge = 0.01;
/** Each question pays the same: what it pays for data follows from its answer. */
const poolWei = 10n ** 18n;

export type Junk = "flipped" | "noise" | "copied" | "paraphrased";

/** Share of what contributors are paid that reaches the attacker, by how it spreads its records. */
export type AttackReport = {
  readonly oneIdentity: number;
  /** Twenty records to an identity, as many as an honest contributor may have. */
  readonly tenIdentities: number;
  readonly identityEach: number;
  /** The same, and reputation attenuates: an identity with one accepted record has little of it. */
  readonly identityEachAttenuated: number;
  /** Two identities: one for the records that end with a loss, known beforehand. */
  readonly isolated: number;
  /** Without gate and netting: every positive line is paid. */
  readonly undefended: number;
  readonly honestThroughGate: number;
  /** Honest records that would pass as their owner's only one: what the gate costs newcomers. */
  readonly newcomersThroughGate: number;
};

/** Pay for digits, attacked: the engine's own influence, shares, gate, classes and netting on a model fitted with the junk. */
export function measureAttack(digits: Labelled, junk: Junk, seed: bigint, size = attackSize): AttackReport {
  const next = pcg32(seed);
  const { ownerCount, recordsPerOwner, gateCount, windowCount } = size;
  const order = shuffled(digits.labels.length, next);
  const honestCount = ownerCount * recordsPerOwner;
  const attacked = withJunk(digits, order.slice(0, honestCount), junk, next, size);
  const train = withoutCopies(attacked);
  const influences = influenceOf(attacked, train, size.dampingRatio);
  const onGate = influences(order.slice(honestCount, honestCount + gateCount));
  const window = order.slice(honestCount + gateCount, honestCount + gateCount + windowCount);
  const game = {
    records: train.map((record, i) => ({
      recordId: `r${record}`,
      owner: record < honestCount ? `owner ${Math.floor(record / recordsPerOwner)}` : "attacker",
      influencesMicro: onGate.map(({ scores: found }) => quantise(found[i]! / train.length)),
    })),
    lines: influences(window).flatMap((query, i) => linesOf(query, train, { id: `query ${i}`, size })),
  };
  return { ...sharesOf(game), ...passRates(game.records) };
}

/** Records of the adapter with their influences on the gate, and the lines of the window. */
type Game = { readonly records: readonly GateRecord[]; readonly lines: readonly Omit<Line, "owner">[] };

function sharesOf(game: Game) {
  const totals = new Map<string, bigint>();
  for (const { recordId, signedWei } of game.lines)
    totals.set(recordId, (totals.get(recordId) ?? 0n) + signedWei);
  const owners = new Map(game.records.map(({ recordId, owner }) => [recordId, owner]));
  const positive = game.lines.map(({ recordId, signedWei }) => ({
    owner: owners.get(recordId)!,
    payWei: signedWei > 0n ? signedWei : 0n,
  }));
  const position = (id: string) => game.records.findIndex(({ recordId }) => recordId === id);
  return {
    oneIdentity: shareAs(game, () => "attacker"),
    tenIdentities: shareAs(game, (id) => `attacker ${position(id) % 10}`),
    identityEach: shareAs(game, (id) => `attacker ${id}`),
    identityEachAttenuated: shareAs(game, (id) => `attacker ${id}`, attenuations),
    isolated: shareAs(game, (id) => ((totals.get(id) ?? 0n) < 0n ? "attacker losing" : "attacker winning")),
    undefended: attackerShare(positive),
  };
}

/** The attacker's share of the pay where its records have these identities. */
function shareAs(
  { records, lines }: Game,
  identity: (recordId: string) => string,
  attenuationsOf = unattenuated,
) {
  const named = records.map((record) =>
    record.owner === "attacker" ? { ...record, owner: identity(record.recordId) } : record,
  );
  const owners = new Map(named.map(({ recordId, owner }) => [recordId, owner]));
  const through = throughGate(named);
  const attenuationOf = attenuationsOf(named.map(({ owner }) => owner));
  const { pays } = net(
    lines.map((line) => ({ ...line, owner: owners.get(line.recordId)! })),
    { passesGate: (id) => through.has(id), attenuationWad: (owner) => attenuationOf.get(owner)! },
  );
  return attackerShare(pays);
}

function unattenuated(owners: readonly string[]): Map<string, bigint> {
  return new Map(owners.map((owner) => [owner, 10n ** 18n]));
}

/** Reputation of each owner after its records were accepted, and nothing else happened yet. */
function attenuations(owners: readonly string[]): Map<string, bigint> {
  const counts = Map.groupBy(owners, (owner) => owner);
  return new Map([...counts].map(([owner, { length }]) => [owner, attenuationWad({ good: length, bad: 0 })]));
}

function passRates(records: readonly GateRecord[]) {
  const honest = records.filter(({ owner }) => owner !== "attacker");
  const newcomers = honest.map((record) => ({ ...record, owner: record.recordId }));
  return {
    honestThroughGate: throughGate(honest).size / honest.length,
    newcomersThroughGate: throughGate(newcomers).size / honest.length,
  };
}

/** Honest records first, then the attacker's, then all the digits again, for the questions. */
type Attacked = Labelled & { readonly honestCount: number; readonly questionsFrom: number };

function withJunk(
  digits: Labelled,
  honest: readonly number[],
  junk: Junk,
  next: Generator,
  { junkCount, recordsPerOwner }: AttackSize,
): Attacked {
  const { classCount } = digits;
  const count = honest.length + junkCount;
  const features = matrix(count + digits.labels.length, digits.features.columns);
  const labels = new Uint8Array(features.rows);
  const put = (target: number, from: number) => {
    row(features, target).set(row(digits.features, from));
    labels[target] = digits.labels[from]!;
  };
  honest.forEach((from, target) => {
    put(target, from);
  });
  for (let target = honest.length; target < count; target++) {
    const victim = junk === "flipped" ? next() % honest.length : next() % recordsPerOwner;
    put(target, honest[victim]!);
    if (junk === "flipped") labels[target] = (labels[target]! + 1 + (next() % (classCount - 1))) % classCount;
    if (junk === "noise") labels[target] = next() % classCount;
    const grey = row(features, target).subarray(0, 64);
    for (let i = 0; i < grey.length; i++) {
      if (junk === "noise") grey[i] = (next() % 17) / 16;
      if (junk === "paraphrased") grey[i] = Math.min(1, Math.max(0, grey[i]! + ((next() % 3) - 1) / 16));
    }
  }
  for (let i = 0; i < digits.labels.length; i++) put(count + i, i);
  return { features, labels, classCount, honestCount: honest.length, questionsFrom: count };
}

/**
 * Records that no earlier one equals, as texts of their numbers: copies are not trained on. Near-duplicates are let
 * through, for what Jaccard similarity of shingles says about texts it does not say about pixels.
 */
function withoutCopies({ features, labels, questionsFrom }: Attacked): number[] {
  const records = Array.from({ length: questionsFrom }, (_, record) => ({
    id: String(record),
    text: [...row(features, record).map((grey) => grey * 16), labels[record]!].join(" "),
  }));
  return classify(records).flatMap(({ id, kind }) => (kind === "exact" ? [] : [Number(id)]));
}

type QueryInfluence = { gainMicro: bigint; baseMicro: bigint; scores: Float64Array };

/** Scores of the training records for questions: eFIM-dual. */
function influenceOf(attacked: Attacked, train: readonly number[], dampingRatio: number) {
  const theta = optimum(attacked, train, ridge);
  const solved = dual([gradients(attacked, train, theta)], dampingRatio);
  return (questions: readonly number[]): QueryInfluence[] => {
    const asked = questions.map((question) => attacked.questionsFrom + question);
    const v = gradients(attacked, asked, theta);
    const after = losses(attacked, asked, theta);
    const baseMicro = quantise(-Math.log(attacked.classCount));
    return asked.map((_, i) => ({
      baseMicro,
      gainMicro: quantise(-after[i]!) - baseMicro,
      scores: scores(solved, [row(v, i)]),
    }));
  };
}

function linesOf(
  { gainMicro, baseMicro, scores: found }: QueryInfluence,
  train: readonly number[],
  { id, size }: { id: string; size: AttackSize },
): Game["lines"] {
  const bothMicro = baseMicro + gainMicro;
  const players = playerValues({ baseMicro, contextMicro: baseMicro, adapterMicro: bothMicro, bothMicro });
  const { influences, unexplainedMicro } = shrunk(found, players.adapterMicro, size.isListed);
  const records = influences.map(({ index, influenceMicro }) => ({
    recordId: `r${train[index]}`,
    owner: "",
    influenceMicro,
  }));
  const helpedMicro = sum(records.map((record) => (record.influenceMicro > 0n ? record.influenceMicro : 0n)));
  const adapterMicro = players.adapterMicro > 0n ? players.adapterMicro : 0n;
  const claims = { unexplainedMicro, unlistedMicro: adapterMicro - helpedMicro - unexplainedMicro };
  const dataWei = (poolWei * players.dataShareWad) / 10n ** 18n;
  return receiptShares({ receiptDigest: id, dataWei, players, passages: [], records, ...claims }).records;
}

/** Influences of all records within the adapter's value, or of those the engine lists. */
function shrunk(found: Float64Array, adapterMicro: bigint, isListed: boolean) {
  if (isListed) {
    const { listed, unexplainedMicro } = recordInfluences(found, adapterMicro)!;
    return { influences: listed, unexplainedMicro };
  }
  const all = Array.from(found, (score) => quantise(score / found.length));
  const { influencesMicro, unexplainedMicro } = scaleRecords(all, adapterMicro);
  return {
    influences: influencesMicro.map((influenceMicro, index) => ({ index, influenceMicro })),
    unexplainedMicro,
  };
}

function attackerShare(pays: readonly { owner: string; payWei: bigint }[]): number {
  const total = sum(pays.map(({ payWei }) => payWei));
  const won = sum(pays.flatMap(({ owner, payWei }) => (owner.startsWith("attacker") ? [payWei] : [])));
  return total === 0n ? 0 : Number((won * 1_000_000n) / total) / 1_000_000;
}
