import { invariant } from "#schema/errors";
import { betaQuantile } from "./beta.ts";

/** Raised with every change below: reputations are recomputed from the events, never inherited from another version. */
export const reputationVersion = 2;

/**
 * What became of a contributor's records, all public: votes and quality of validators, slashings, the gate's verdicts,
 * duplicates. `count` is how many records or cases; `quality` of 0 to 10,000 weighs an acceptance.
 */
export type ReputationEvent = {
  readonly epoch: number;
  readonly account: string;
  readonly datanetId: string;
  readonly kind: keyof typeof evidence;
  readonly count: number;
  readonly qualityBps?: number;
};

/** Good and bad evidence of one case of each kind. Chosen, not measured: a slashing outweighs sixteen acceptances. */
export const evidence = {
  accepted: { good: 1, bad: 0 },
  rejected: { good: 0, bad: 1 },
  "gate-passed": { good: 0.25, bad: 0 },
  "gate-failed": { good: 0, bad: 0.25 },
  duplicate: { good: 0, bad: 0.5 },
  slashed: { good: 0, bad: 16 },
} as const;

/** What is left of evidence after an epoch: half after 69. */
export const keptPerEpoch = 0.99;

/** The quantile that counts: what an account is better than with this much doubt left. */
export const quantileLevel = 0.05;

/** Least attenuation: reputation may halve a payment, not take it. Slashing and the gate are for more. */
export const attenuationMin = 0.5;

const wad = 10n ** 18n;
/** Attenuations are published in millionths: far coarser than the last bits of the integral. */
const quantumWad = wad / 1_000_000n;

/** Decayed evidence of an account as of an epoch. */
export type Evidence = { readonly good: number; readonly bad: number };

/** Evidence of each account, in a Datanet and over all (`datanetId` null); events in any order, those after `epoch` ignored. */
export function evidenceOf(
  events: readonly ReputationEvent[],
  account: string,
  datanetId: string | null,
  epoch: number,
): Evidence {
  const perEpoch = new Map<number, { good: number; bad: number }>();
  const own = events.filter(
    (event) =>
      event.account === account &&
      (datanetId === null || event.datanetId === datanetId) &&
      event.epoch <= epoch,
  );
  for (const { epoch: at, kind, count, qualityBps = 10_000 } of sorted(own)) {
    invariant(count >= 0 && qualityBps >= 0 && qualityBps <= 10_000, "a count and a quality within bounds");
    const sums = perEpoch.get(at) ?? { good: 0, bad: 0 };
    sums.good += (evidence[kind].good * count * qualityBps) / 10_000;
    sums.bad += evidence[kind].bad * count;
    perEpoch.set(at, sums);
  }
  // From the first epoch to the asked one, step by step: the same multiplications for everyone who recomputes it.
  const first = Math.min(epoch, ...perEpoch.keys());
  let [good, bad] = [0, 0];
  for (let at = first; at <= epoch; at++) {
    const sums = perEpoch.get(at);
    good = good * keptPerEpoch + (sums?.good ?? 0);
    bad = bad * keptPerEpoch + (sums?.bad ?? 0);
  }
  return { good, bad };
}

/**
 * Attenuation of a payment in wad, between `attenuationMin` and one: the lower quantile of Beta(1 + good, 1 + bad), so
 * that an account without history starts low and whitewashing gains nothing. Never above one: reputation cannot make
 * a reward where there was no influence. Source of the rule: Jøsang & Ismail 2002; the quantile in place of the mean is ours.
 */
export function attenuationWad({ good, bad }: Evidence): bigint {
  const quantile = betaQuantile(1 + good, 1 + bad, quantileLevel);
  const attenuation = attenuationMin + (1 - attenuationMin) * quantile;
  return BigInt(Math.min(1_000_000, Math.floor(attenuation * 1_000_000))) * quantumWad;
}

/** An owner's attenuation in a Datanet: the lower of that there and that over all, so that harm elsewhere counts. */
export function ownerAttenuationWad(
  events: readonly ReputationEvent[],
  account: string,
  datanetId: string,
  epoch: number,
): bigint {
  const [here, overall] = [datanetId, null].map((of) =>
    attenuationWad(evidenceOf(events, account, of, epoch)),
  );
  const isBetterHere = here! > overall!;
  return isBetterHere ? overall! : here!;
}

/** A total order, so that floating point sums do not depend on how events arrived. */
function sorted(events: readonly ReputationEvent[]): ReputationEvent[] {
  const key = ({ epoch, datanetId, kind, count, qualityBps = 10_000 }: ReputationEvent) =>
    [epoch, datanetId, kind, count, qualityBps] as const;
  return [...events].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    const differing = x.findIndex((part, i) => part !== y[i]);
    return differing === -1 ? 0 : x[differing]! < y[differing]! ? -1 : 1;
  });
}
