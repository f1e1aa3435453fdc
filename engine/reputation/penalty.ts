import { invariant } from "#schema/errors";

/** Kinds of confirmed violations and the points of each: what classes of duplicates and gates tell. */
export const violationPoints = { duplicate: 1, "gate-failed": 1 } as const;

/** A confirmed violation and what proves it: a record anyone can look up. */
export type Violation = {
  readonly epoch: number;
  readonly account: string;
  readonly datanetId: string;
  readonly kind: keyof typeof violationPoints;
  readonly evidenceId: string;
};

/** Points kept after an epoch, in basis points, and the score from which slashing is proposed, in thousandths of a point. */
export const pointsKeptBps = 9_500n;
export const slashScoreMilli = 20_000n;

/** A proposal to slash: never carried out by the engine itself, and open to dispute. */
export type SlashProposal = {
  readonly account: string;
  readonly datanetId: string;
  readonly scoreMilli: bigint;
  /** What it rests on, by epoch, then by id. */
  readonly evidence: readonly {
    readonly kind: Violation["kind"];
    readonly evidenceId: string;
    readonly epoch: number;
  }[];
};

/** Decayed points of an account in a Datanet as of an epoch, in thousandths, rounded down each epoch: integers only. */
export function penaltyScoreMilli(violations: readonly Violation[], epoch: number): bigint {
  const past = violations.filter((violation) => violation.epoch <= epoch);
  const first = Math.min(epoch, ...past.map((violation) => violation.epoch));
  let score = 0n;
  for (let at = first; at <= epoch; at++) {
    const added = past.filter((violation) => violation.epoch === at);
    score = (score * pointsKeptBps) / 10_000n;
    score += added.reduce((total, { kind }) => total + BigInt(violationPoints[kind]) * 1_000n, 0n);
  }
  return score;
}

/** Accounts whose score meets the bound, by Datanet and account; one piece of evidence counts once. */
export function proposeSlashings(violations: readonly Violation[], epoch: number): SlashProposal[] {
  const groups = new Map<string, Violation[]>();
  const seen = new Set<string>();
  for (const violation of violations) {
    invariant(!violation.account.includes(" ") && !violation.datanetId.includes(" "), "ids hold no space");
    const once = [violation.account, violation.datanetId, violation.kind, violation.evidenceId].join(" ");
    if (violation.epoch > epoch || seen.has(once)) continue;
    seen.add(once);
    const key = `${violation.datanetId} ${violation.account}`;
    groups.set(key, [...(groups.get(key) ?? []), violation]);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, group]) => {
      const scoreMilli = penaltyScoreMilli(group, epoch);
      if (scoreMilli < slashScoreMilli) return [];
      const evidence = group
        .map(({ kind, evidenceId, epoch: at }) => ({ kind, evidenceId, epoch: at }))
        .sort((a, b) => a.epoch - b.epoch || (a.evidenceId < b.evidenceId ? -1 : 1));
      return [{ account: group[0]!.account, datanetId: group[0]!.datanetId, scoreMilli, evidence }];
    });
}
