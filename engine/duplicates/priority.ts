import { divideExactly } from "#schema/apportion";
import { invariant } from "#schema/errors";
import type { Membership } from "./classes.ts";

/** What a class of duplicates earned, in the integer unit of its scores. */
export type ClassScore = { readonly classId: string; readonly score: bigint };

/**
 * Scores of classes → scores of records: the first record of a class gets all of it, its copies zero, whoever owns them.
 * So ten copies add nothing to their owner and take nothing from the first. (Equal shares would pay the copier.)
 */
export function byPriority(
  members: readonly Membership[],
  scores: readonly ClassScore[],
): Map<string, bigint> {
  const byClass = new Map(scores.map(({ classId, score }) => [classId, score]));
  return new Map(members.map(({ id, classId }) => [id, id === classId ? (byClass.get(classId) ?? 0n) : 0n]));
}

/**
 * A first record that repeats part of earlier classes keeps the part of its positive score that its novel shingles are;
 * the rest is nobody's, and is `withheld`. A negative score is kept whole: harm is not excused by copying.
 */
export function keepNovel(
  { novelShingles, shingleCount }: Membership,
  score: bigint,
): { kept: bigint; withheld: bigint } {
  invariant(novelShingles <= shingleCount, "novel shingles are some of them");
  if (score <= 0n || shingleCount === 0) return { kept: score, withheld: 0n };
  const [kept, withheld] = divideExactly(
    [score * BigInt(novelShingles), score * BigInt(shingleCount - novelShingles)],
    BigInt(shingleCount),
  );
  return { kept: kept!, withheld: withheld! };
}

/** The part of a record that is its own, in wad, rounded down; all of one without words. */
export function noveltyWad({ novelShingles, shingleCount }: Membership): bigint {
  invariant(novelShingles <= shingleCount, "novel shingles are some of them");
  return shingleCount === 0 ? wad : (BigInt(novelShingles) * wad) / BigInt(shingleCount);
}

const wad = 10n ** 18n;

/**
 * Players of a game over records: one per class, in the order of their first record. For Shapley values over passages
 * that hold duplicates: members stand or fall together.
 */
export function playersOf(members: readonly Membership[]): { classId: string; positions: number[] }[] {
  const players = new Map<string, number[]>();
  members.forEach(({ classId }, position) => {
    players.set(classId, [...(players.get(classId) ?? []), position]);
  });
  return [...players].map(([classId, positions]) => ({ classId, positions }));
}
