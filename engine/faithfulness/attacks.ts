import { type Generator, pcg32 } from "#runtime/inference/sampler";
import { sum } from "#schema/apportion";
import { isThroughGate, net } from "../composite/netting.ts";
import { type Line, receiptShares } from "../composite/receipt-shares.ts";
import { classify } from "../duplicates/classes.ts";
import { dual, scores } from "../influence/efim.ts";
import { matrix, row } from "../influence/matrix.ts";
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
};

/** All 1,797 digits: 1,000 honest records, the rest questions. */
export const attackSize: AttackSize = {
  ownerCount: 20,
  recordsPerOwner: 50,
  junkCount: 200,
  gateCount: 397,
  windowCount: 400,
};

const ridge = 0.01;
const dampingRatio = 0.003;
/** Each question pays the same: what it pays for data follows from its answer. */
const poolWei = 10n ** 18n;

export type Junk = "flipped" | "noise" | "copied" | "paraphrased";

/** Share of what contributors are paid that reaches the attacker, by how it spreads its records. */
export type AttackReport = {
  readonly oneIdentity: number;
  readonly identityEach: number;
  /** Two identities: one for the records that end with a loss, known beforehand. */
  readonly isolated: number;
  /** Without gate and netting: every positive line is paid. */
  readonly undefended: number;
  readonly honestThroughGate: number;
};

/** Pay for digits, attacked: the engine's own influence, shares, gate, classes and netting on a model fitted with the junk. */
export function measureAttack(digits: Labelled, junk: Junk, seed: bigint, size = attackSize): AttackReport {
  const next = pcg32(seed);
  const { ownerCount, recordsPerOwner, gateCount, windowCount } = size;
  const order = shuffled(digits.labels.length, next);
  const honestCount = ownerCount * recordsPerOwner;
  const attacked = withJunk(digits, order.slice(0, honestCount), junk, next, size);
  const train = withoutCopies(attacked);
  const gate = order.slice(honestCount, honestCount + gateCount);
  const window = order.slice(honestCount + gateCount, honestCount + gateCount + windowCount);
  const influences = influenceOf(attacked, train);
  const ownerOf = (record: number) =>
    record < honestCount ? `owner ${Math.floor(record / recordsPerOwner)}` : "attacker";
  const onGate = influences(gate);
  const passes = train.map((_, i) => isThroughGate(onGate.map(({ influencesMicro }) => influencesMicro[i]!)));
  const lines = influences(window).flatMap((query, i) => linesOf(query, train, `query ${i}`, ownerOf));
  const totals = new Map<string, bigint>();
  for (const { recordId, signedWei } of lines) totals.set(recordId, (totals.get(recordId) ?? 0n) + signedWei);
  const through = new Set(train.filter((_, i) => passes[i]).map((record) => `r${record}`));
  const share = (identity: (recordId: string) => string) => {
    const named = lines.map((line) =>
      line.owner === "attacker" ? { ...line, owner: identity(line.recordId) } : line,
    );
    return shareOf(
      net(named, { passesGate: (id) => through.has(id), attenuationWad: () => 10n ** 18n }).pays,
    );
  };
  return {
    oneIdentity: share(() => "attacker"),
    identityEach: share((id) => `attacker ${id}`),
    isolated: share((id) => ((totals.get(id) ?? 0n) < 0n ? "attacker losing" : "attacker winning")),
    undefended: shareOf(
      lines.map(({ owner, signedWei }) => ({ owner, payWei: signedWei > 0n ? signedWei : 0n })),
    ),
    honestThroughGate: train.filter((record, i) => record < honestCount && passes[i]).length / honestCount,
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

type QueryInfluence = { gainMicro: bigint; baseMicro: bigint; influencesMicro: bigint[] };

/** Influences of the training records on questions, in micro-nats: eFIM-dual ÷ n. */
function influenceOf(attacked: Attacked, train: readonly number[]) {
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
      influencesMicro: Array.from(scores(solved, [row(v, i)]), (score) => quantise(score / train.length)),
    }));
  };
}

function linesOf(
  { gainMicro, baseMicro, influencesMicro }: QueryInfluence,
  train: readonly number[],
  id: string,
  ownerOf: (record: number) => string,
): Line[] {
  const bothMicro = baseMicro + gainMicro;
  const players = playerValues({ baseMicro, contextMicro: baseMicro, adapterMicro: bothMicro, bothMicro });
  const scaled = scaleRecords(influencesMicro, players.adapterMicro);
  const records = train.map((record, i) => ({
    recordId: `r${record}`,
    owner: ownerOf(record),
    influenceMicro: scaled.influencesMicro[i]!,
  }));
  const dataWei = (poolWei * players.dataShareWad) / 10n ** 18n;
  return [...receiptShares({ receiptDigest: id, dataWei, players, passages: [], records, ...scaled }).lines];
}

function shareOf(pays: readonly { owner: string; payWei: bigint }[]): number {
  const total = sum(pays.map(({ payWei }) => payWei));
  const won = sum(pays.flatMap(({ owner, payWei }) => (owner.startsWith("attacker") ? [payWei] : [])));
  return total === 0n ? 0 : Number((won * 1_000_000n) / total) / 1_000_000;
}
