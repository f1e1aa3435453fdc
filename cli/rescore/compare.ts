import type { Hex } from "viem";
import type { Rescored } from "#engine/rescore";
import { scoreQuantumWad } from "#engine/score/quantise";
import { isUnscored } from "#settlement/allocation/facts";
import type * as provenance from "#settlement/blob/provenance";
import { influencesOf } from "../verify/allocation.ts";

/** One published amount beside the recomputed one, in wad of nats. `isWithin` is null where it is not judged. */
export type Difference = {
  name: string;
  publishedWad: bigint;
  rescoredWad: bigint;
  isWithin: boolean | null;
};

export type Comparison = {
  epoch: string;
  isSameMethod: boolean;
  toleranceMicro: string;
  differences: Difference[];
  /** `other method`: something is beyond the tolerance, and was computed by another method than the epoch's. */
  verdict: "within" | "beyond" | "other method";
  notes: string[];
};

export function microOf(wad: bigint): bigint {
  return wad / scoreQuantumWad;
}

/** A receipt's published score, and the epoch that published it. */
export type Published = { epoch: provenance.Provenance; score: provenance.ReceiptScore };

/** A published score beside one computed again. With `isExact` influences are shown and not judged: they may be of drawn orders. */
export function compareScores({ epoch, score }: Published, rescored: Rescored, isExact: boolean): Comparison {
  const tolerance = /dispute tolerance (\d+) micro-nats/.exec(epoch.method)?.[1] ?? "0";
  const toleranceWad = BigInt(tolerance) * scoreQuantumWad;
  const difference = (
    name: string,
    publishedWad: bigint,
    rescoredWad: bigint,
    isJudged: boolean,
  ): Difference => {
    const distanceWad = rescoredWad > publishedWad ? rescoredWad - publishedWad : publishedWad - rescoredWad;
    return { name, publishedWad, rescoredWad, isWithin: isJudged ? distanceWad <= toleranceWad : null };
  };
  const { base, context, adapter, both } = rescored.values;
  const published = influencesOf(score);
  const differences = [
    difference("v(base)", score.valueBaseWad, BigInt(base), true),
    difference("v(base, context)", score.valueContextWad, BigInt(context), true),
    difference("v(base, adapter)", score.valueAdapterWad, BigInt(adapter), true),
    difference("v(both)", score.valueBothWad, BigInt(both), true),
    ...pairsOf(published.passages, rescored.passages).map(([id, ours, theirs]) =>
      difference(`passage ${short(id)}`, ours, theirs, !isExact),
    ),
    ...pairsOf(published.records, rescored.records).map(([id, ours, theirs]) =>
      difference(`record ${short(id)}`, ours, theirs, true),
    ),
    difference("unexplained", published.unexplainedWad, BigInt(rescored.unexplainedWad), true),
  ];
  const isSameMethod = epoch.methodHash === rescored.methodHash;
  const isWithin = differences.every((one) => one.isWithin !== false);
  const notes = isSameMethod ? [] : changedParts(epoch.method, rescored.method);
  if (isUnscored(score)) notes.push("the epoch published it as unscored");
  return {
    epoch: String(epoch.epoch),
    isSameMethod,
    toleranceMicro: tolerance,
    differences,
    verdict: isWithin ? "within" : isSameMethod ? "beyond" : "other method",
    notes,
  };
}

type Named = readonly { id: Hex; scoreWad: string }[];

/** Published and recomputed influence of each id, where one is not 0; what a side does not list is 0. */
function pairsOf(published: readonly provenance.Entry[], rescored: Named): [Hex, bigint, bigint][] {
  const found = new Map<Hex, [bigint, bigint]>();
  for (const { subject, scoreWad } of published) found.set(subject, [scoreWad, 0n]);
  for (const { id, scoreWad } of rescored) found.set(id, [found.get(id)?.[0] ?? 0n, BigInt(scoreWad)]);
  return [...found].flatMap(([id, [ours, theirs]]) =>
    ours === 0n && theirs === 0n ? [] : [[id, ours, theirs] as [Hex, bigint, bigint]],
  );
}

/** What the two methods say differently, a line each. */
function changedParts(theirs: string, ours: string): string[] {
  const [known, own] = [theirs.split("; "), ours.split("; ")];
  return [
    ...known.filter((part) => !own.includes(part)).map((part) => `the epoch: ${part}`),
    ...own.filter((part) => !known.includes(part)).map((part) => `here: ${part}`),
  ];
}

function short(id: Hex): string {
  return `${id.slice(0, 10)}…`;
}
