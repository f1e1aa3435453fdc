import { invariant } from "#schema/errors";

/** A training record's influence on each of the gate's questions, in micro-nats, all records in the same order. */
export type GateRecord = {
  readonly recordId: string;
  readonly owner: string;
  readonly influencesMicro: Influences;
};

/** Thirty thousand records with 256 questions fit into memory as 64-bit integers, not as a list. */
type Influences = readonly bigint[] | BigInt64Array;

/**
 * Records that may be paid: not clearly harmful themselves, and of an owner whose records together clearly help. The
 * second is what many identities cannot get around: of records with false labels a few seem to help by chance, and an
 * identity for each of them must stand by that one record, where an owner of fifty honest ones stands far from doubt. It
 * costs an honest newcomer with a single record the pay of that record in about one case of three by a gate of 256
 * questions, in three of four by one of 64 (`npm run bench -- attacks`); what is withheld is carried.
 */
export function throughGate(records: readonly GateRecord[]): Set<string> {
  const byOwner = Map.groupBy(records, ({ owner }) => owner);
  return new Set(
    [...byOwner.values()]
      .filter((owned) => isHelpful(together(owned)))
      .flatMap((owned) => owned.filter(({ influencesMicro }) => !isHarmful(influencesMicro)))
      .map(({ recordId }) => recordId),
  );
}

/**
 * Whether a record is clearly harmful: a mean below zero by at least two standard errors. With s = Σx and q = Σx² over n
 * questions that is n·s² ≥ 4·(n·q − s²). Nearer to zero honest records fail by chance (at half an error up to one in six),
 * and attackers lose nothing by it: netting takes what this lets through. A record without influence counts as harmful:
 * there is nothing to pay.
 */
function isHarmful(influencesMicro: Influences): boolean {
  const { count, total, spread } = momentsOf(influencesMicro);
  return total <= 0n && count * total * total >= 4n * spread;
}

/** Whether the mean is above zero by more than one and a half standard errors: 4n·s² > 9·(n·q − s²). */
function isHelpful(influencesMicro: Influences): boolean {
  const { count, total, spread } = momentsOf(influencesMicro);
  return total > 0n && 4n * count * total * total > 9n * spread;
}

/** n, s, and n·q − s², which is n² times the variance. */
function momentsOf(influencesMicro: Influences) {
  const count = BigInt(influencesMicro.length);
  let [total, squares] = [0n, 0n];
  for (const influence of influencesMicro) {
    total += influence;
    squares += influence * influence;
  }
  return { count, total, spread: count * squares - total * total };
}

function together(records: readonly GateRecord[]): bigint[] {
  const totals: bigint[] = new Array(records[0]?.influencesMicro.length ?? 0).fill(0n);
  for (const { influencesMicro } of records) {
    invariant(totals.length === influencesMicro.length, "one gate for all records");
    for (const [i, influence] of influencesMicro.entries()) totals[i]! += influence;
  }
  return totals;
}
