import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { betaQuantile } from "./beta.ts";
import { penaltyScoreMilli, proposeSlashings, type Violation } from "./penalty.ts";
import {
  attenuationMin,
  attenuationWad,
  evidence,
  evidenceOf,
  keptPerEpoch,
  ownerAttenuationWad,
  quantileLevel,
  type ReputationEvent,
} from "./reputation.ts";
import { agreement, peerPrediction, type Vote, validatorAttenuationWad } from "./validators.ts";

const wad = 10n ** 18n;
const level = fc.double({ min: 0.01, max: 0.99, noNaN: true });
const weight = fc.double({ min: 0, max: 2_000, noNaN: true });

describe("the Beta quantile", () => {
  it("equals the closed forms to 3e-6", () => {
    fc.assert(
      fc.property(level, fc.integer({ min: 1, max: 400 }), (q, n) => {
        expect(betaQuantile(1, 1, q)).toBeCloseTo(q, 5);
        expect(Math.abs(betaQuantile(n, 1, q) - q ** (1 / n))).toBeLessThan(3e-6);
        expect(Math.abs(betaQuantile(1, n, q) - (1 - (1 - q) ** (1 / n)))).toBeLessThan(3e-6);
      }),
      { numRuns: 60 },
    );
  });

  it("is symmetric, and its median lies between mode and mean", () => {
    for (const [a, b] of [
      [2, 5],
      [3.7, 40.2],
      [900, 300],
    ] as const) {
      expect(Math.abs(betaQuantile(a, b, 0.3) + betaQuantile(b, a, 0.7) - 1)).toBeLessThan(3e-6);
      const bounds = [a / (a + b), (a - 1) / (a + b - 2)].sort((x, y) => x - y);
      expect(betaQuantile(a, b, 0.5)).toBeGreaterThan(bounds[0]!);
      expect(betaQuantile(a, b, 0.5)).toBeLessThan(bounds[1]!);
    }
    expect(() => betaQuantile(0.5, 1, 0.1)).toThrow(/a, b ≥ 1/);
  });
});

describe("attenuation", () => {
  it("lies between its least and one, rises with good and falls with bad evidence", () => {
    fc.assert(
      fc.property(weight, weight, fc.double({ min: 0, max: 50, noNaN: true }), (good, bad, more) => {
        const found = attenuationWad({ good, bad });
        expect(found >= BigInt(attenuationMin * 1e6) * 10n ** 12n && found <= wad).toBe(true);
        expect(attenuationWad({ good: good + more, bad }) >= found - 10n ** 12n).toBe(true);
        expect(attenuationWad({ good, bad: bad + more }) <= found + 10n ** 12n).toBe(true);
      }),
      { numRuns: 60, examples: [[0, 1.1102230246251568e-16, 9.982126236707245e-12]] },
    );
  });

  it("starts low, so that a new name never beats a clean old one", () => {
    const fresh = attenuationWad({ good: 0, bad: 0 });
    expect(Number(fresh) / 1e18).toBeCloseTo(attenuationMin + (1 - attenuationMin) * quantileLevel, 5);
    fc.assert(
      fc.property(weight, (good) => {
        expect(attenuationWad({ good, bad: 0 }) >= fresh).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

const kinds = Object.keys(evidence) as (keyof typeof evidence)[];
const history = fc.array(
  fc.record({
    epoch: fc.integer({ min: 1, max: 20 }),
    account: fc.constantFrom("a", "b"),
    datanetId: fc.constantFrom("1", "2"),
    kind: fc.constantFrom(...kinds),
    count: fc.integer({ min: 0, max: 9 }),
    qualityBps: fc.integer({ min: 0, max: 10_000 }),
  }),
  { maxLength: 25 },
);

describe("evidence", () => {
  it("fades by the epoch and weighs acceptances by their quality", () => {
    const accepted: ReputationEvent = {
      epoch: 3,
      account: "a",
      datanetId: "1",
      kind: "accepted",
      count: 4,
      qualityBps: 5_000,
    };
    expect(evidenceOf([accepted], "a", "1", 3)).toEqual({ good: 2, bad: 0 });
    expect(evidenceOf([accepted], "a", "1", 5).good).toBeCloseTo(2 * keptPerEpoch ** 2, 12);
    expect(evidenceOf([accepted], "a", "1", 2)).toEqual({ good: 0, bad: 0 });
    expect(evidenceOf([accepted], "a", "2", 3)).toEqual({ good: 0, bad: 0 });
    expect(evidenceOf([accepted], "b", null, 3)).toEqual({ good: 0, bad: 0 });
  });

  it("does not depend on how events arrived, to the bit, and those of others or of later change nothing", () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 20 }), (events, epoch) => {
        const found = evidenceOf(events, "a", null, epoch);
        expect(evidenceOf(events.toReversed(), "a", null, epoch)).toEqual(found);
        const own = events.filter((event) => event.account === "a" && event.epoch <= epoch);
        expect(evidenceOf(own, "a", null, epoch)).toEqual(found);
      }),
    );
  });

  it("counts harm done in another Datanet", () => {
    const good: ReputationEvent = { epoch: 1, account: "a", datanetId: "1", kind: "accepted", count: 200 };
    const bad: ReputationEvent = { epoch: 1, account: "a", datanetId: "2", kind: "slashed", count: 3 };
    expect(ownerAttenuationWad([good, bad], "a", "1", 1) < ownerAttenuationWad([good], "a", "1", 1)).toBe(
      true,
    );
    expect(
      ownerAttenuationWad([good, bad], "a", "2", 1) < ownerAttenuationWad([good, bad], "a", "1", 1),
    ).toBe(true);
  });
});

describe("validators", () => {
  const truth = (id: number) => id % 3 !== 0;
  const votesOf = (validator: string, isFor: (id: number) => boolean, count = 60): Vote[] =>
    Array.from({ length: count }, (_, id) => ({
      validator,
      contributionId: `c${id}`,
      isFor: isFor(id),
      isAccepted: truth(id),
    }));
  const next = pcg32(4n);
  const mostly = (share: number) => (id: number) => (next() / 2 ** 32 < share ? truth(id) : !truth(id));

  it("are rated by agreement with what was settled, open votes aside", () => {
    const votes = [...votesOf("v", truth, 6), ...votesOf("w", (id) => !truth(id), 6)];
    const open = votes.map((vote) => ({ ...vote, isAccepted: null }));
    expect(agreement(votes, "v")).toEqual({ good: 6, bad: 0 });
    expect(agreement(votes, "w")).toEqual({ good: 0, bad: 6 });
    expect(agreement(open, "v")).toEqual({ good: 0, bad: 0 });
    expect(validatorAttenuationWad(votes, "v") > validatorAttenuationWad(votes, "w")).toBe(true);
  });

  it("gain by peer prediction only where they look: not by always voting for, nor by a coin", () => {
    const votes = [
      ...votesOf("careful", mostly(0.95)),
      ...votesOf("peer", mostly(0.9)),
      ...votesOf("other", mostly(0.9)),
      ...votesOf("always", () => true),
      ...votesOf("coin", () => next() % 2 === 0),
    ];
    expect(peerPrediction(votes, "always")).toBeCloseTo(0, 12);
    expect(Math.abs(peerPrediction(votes, "coin")!)).toBeLessThan(0.12);
    expect(peerPrediction(votes, "careful")!).toBeGreaterThan(0.1);
    expect(peerPrediction(votesOf("alone", truth), "alone")).toBeNull();
    expect(peerPrediction(votes, "nobody")).toBeNull();
  });
});

describe("penalties", () => {
  const violation = (epoch: number, kind: Violation["kind"], evidenceId: string): Violation => ({
    epoch,
    account: "a",
    datanetId: "1",
    kind,
    evidenceId,
  });

  it("add up, fade, and lead to a proposal with the evidence it rests on", () => {
    const of = (kind: Violation["kind"], epoch: number, count: number) =>
      Array.from({ length: count }, (_, i) => violation(epoch, kind, `${kind} ${10 + i}`));
    const [copies, failures] = [of("duplicate", 1, 20), of("gate-failed", 5, 5)];
    const violations = [...failures, ...copies];
    expect(penaltyScoreMilli(violations, 1)).toBe(20_000n);
    expect(penaltyScoreMilli(violations, 2)).toBe(19_000n);
    expect(proposeSlashings(violations, 2)).toEqual([]);
    const evidence = [...copies, ...failures].map(({ kind, evidenceId, epoch }) => ({
      kind,
      evidenceId,
      epoch,
    }));
    expect(proposeSlashings(violations, 5)).toEqual([
      { account: "a", datanetId: "1", scoreMilli: 21_289n, evidence },
    ]);
  });

  it("count a piece of evidence once, and each Datanet for itself", () => {
    const repeated = Array.from({ length: 30 }, () => violation(1, "gate-failed", "e1"));
    expect(proposeSlashings(repeated, 1)).toEqual([]);
    const ids = Array.from({ length: 20 }, (_, i) => `${i % 4}`);
    const spread = ids.map((datanetId, i) => ({ ...violation(1, "gate-failed", `e${i}`), datanetId }));
    expect(proposeSlashings(spread, 1)).toEqual([]);
    const gathered = ids.map((_, i) => violation(1, "gate-failed", `e${i}`));
    expect(proposeSlashings(gathered, 1).map(({ scoreMilli }) => scoreMilli)).toEqual([20_000n]);
  });
});
