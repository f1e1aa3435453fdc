import { attenuationWad, type Evidence } from "./reputation.ts";

/** A validator's vote on a contribution, and how it ended; null while it is open. */
export type Vote = {
  readonly validator: string;
  readonly contributionId: string;
  readonly isFor: boolean;
  readonly isAccepted: boolean | null;
};

/** Evidence from settled votes: each that agreed with the outcome is good, each other one bad. */
export function agreement(votes: readonly Vote[], validator: string): Evidence {
  const settled = votes.filter((vote) => vote.validator === validator && vote.isAccepted !== null);
  const good = settled.filter(({ isFor, isAccepted }) => isFor === isAccepted).length;
  return { good, bad: settled.length - good };
}

/** The same scale as a contributor's: never a bonus. */
export function validatorAttenuationWad(votes: readonly Vote[], validator: string): bigint {
  return attenuationWad(agreement(votes, validator));
}

/**
 * Peer prediction: how much more often a validator agrees with its peers on the same contribution than two of their votes
 * on different ones would by chance; the mean over peers with at least `sharedMin` contributions in common, null without
 * any. Between −1 and 1; zero for whoever votes without looking (always for, or by a coin), however peers vote. It needs
 * no settled outcome. Source: correlated agreement, Shnayder et al. 2016, for two signals.
 */
export function peerPrediction(votes: readonly Vote[], validator: string): number | null {
  const byValidator = new Map<string, Map<string, boolean>>();
  for (const vote of votes) {
    const own = byValidator.get(vote.validator) ?? new Map<string, boolean>();
    byValidator.set(vote.validator, own.set(vote.contributionId, vote.isFor));
  }
  const own = byValidator.get(validator) ?? new Map<string, boolean>();
  const peers = [...byValidator].filter(([name]) => name !== validator).sort(([a], [b]) => (a < b ? -1 : 1));
  const found = peers.flatMap(([, peer]) => {
    const pairs = [...own].flatMap(([id, isFor]) => (peer.has(id) ? [[isFor, peer.get(id)!] as const] : []));
    return pairs.length < sharedMin ? [] : [beyondChance(pairs)];
  });
  return found.length === 0 ? null : found.reduce((a, b) => a + b, 0) / found.length;
}

/** Contributions two validators must both have voted on before their agreement says anything. */
export const sharedMin = 4;

/** Agreement on the same item minus agreement over all pairs of different items. */
function beyondChance(pairs: readonly (readonly [boolean, boolean])[]): number {
  const n = pairs.length;
  const both = pairs.filter(([a, b]) => a === b).length;
  const mine = pairs.filter(([a]) => a).length;
  const theirs = pairs.filter(([, b]) => b).length;
  const agreeingPairs = mine * theirs + (n - mine) * (n - theirs) - both;
  return both / n - agreeingPairs / (n * (n - 1));
}
