import { describe, expect, it } from "vitest";
import { type JudgedContribution, type PublicFacts, reputationsOf } from "./history.ts";
import { proposeSlashings } from "./penalty.ts";
import { attenuationWad } from "./reputation.ts";

const failedGates = (modelOwner: string) =>
  Array.from({ length: 60 }, (_, i) => ({
    contributionId: 2n,
    modelId: "0xm",
    chunkId: `0x${i}`,
    passes: false,
    block: 6n,
    modelOwner,
    datanetOwner: "0xowner",
  }));

const nothing: PublicFacts = { contributions: [], slashings: [], copies: [], gates: [] };

function contribution(given: Partial<JudgedContribution>): JudgedContribution {
  return {
    contributionId: 1n,
    datanetId: 1n,
    contributor: "0xaa",
    items: 10,
    outcome: "accepted",
    qualityBps: 10_000,
    block: 5n,
    votes: [{ validator: "0xvv", support: true }],
    ...given,
  };
}

const of = (facts: Partial<PublicFacts>, toBlocks = [10n]) =>
  reputationsOf({ ...nothing, ...facts }, toBlocks);

describe("reputation from public facts", () => {
  it("starts low without history, and rises with accepted records of quality", () => {
    const fresh = of({}).contributorWad("0xaa", [1n]);
    expect(fresh).toBe(attenuationWad({ good: 0, bad: 0 }));
    const accepted = of({ contributions: [contribution({})] }).contributorWad("0xaa", [1n]);
    expect(accepted).toBe(attenuationWad({ good: 10, bad: 0 }));
    const poor = of({ contributions: [contribution({ qualityBps: 5_000 })] }).contributorWad("0xaa", [1n]);
    expect(poor > fresh && poor < accepted).toBe(true);
  });

  it("counts what a contribution claims to hold only up to a bound, and lets a lapsed one count for nothing", () => {
    const claimed = (items: number) =>
      of({ contributions: [contribution({ items })] }).contributorWad("0xaa", []);
    expect(claimed(4_000_000_000)).toBe(claimed(100));
    expect(
      of({ contributions: [contribution({ outcome: "lapsed" })] })
        .rows()
        .filter((r) => r.role === "contributor"),
    ).toEqual([]);
  });

  it("is lowered by rejections, copies, failed gates and slashings, there and everywhere", () => {
    const good = [contribution({}), contribution({ contributionId: 2n, datanetId: 2n })];
    const clean = of({ contributions: good }).contributorWad("0xaa", [1n]);
    const rejected = contribution({ contributionId: 3n, datanetId: 2n, outcome: "rejected", items: 60 });
    const harms: Partial<PublicFacts>[] = [
      { contributions: [...good, rejected] },
      {
        contributions: good,
        copies: Array.from({ length: 30 }, (_, i) => ({ contributionId: 2n, chunkId: `0x${i}` })),
      },
      {
        contributions: good,
        gates: failedGates("0xowner"),
      },
      { contributions: good, slashings: [{ account: "0xaa", scope: "0xnode", block: 7n }] },
    ];
    for (const harm of harms) {
      const reputations = of(harm);
      expect(reputations.contributorWad("0xaa", [1n]) < clean).toBe(true);
      expect(reputations.contributorWad("0xaa", [2n]) <= reputations.contributorWad("0xaa", [1n])).toBe(true);
    }
  });

  it("hears the gate of an adapter only where its owner answered for the Datanet too", () => {
    const contributions = [contribution({}), contribution({ contributionId: 2n, datanetId: 2n })];
    const unheard = of({ contributions, gates: failedGates("0xstranger") });
    expect(unheard.rows()).toEqual(of({ contributions }).rows());
    expect(unheard.violations).toEqual([]);
    expect(of({ contributions, gates: failedGates("0xowner") }).violations).toHaveLength(60);
    const praised = failedGates("0xstranger").map((gate) => ({ ...gate, passes: true }));
    expect(of({ contributions, gates: praised }).rows()).toEqual(of({ contributions }).rows());
  });

  it("decays over epochs, each fact in the epoch that holds its block", () => {
    const contributions = [contribution({})];
    const now = of({ contributions }).contributorWad("0xaa", []);
    const later = of({ contributions }, [10n, 20n, 30n]).contributorWad("0xaa", []);
    expect(later < now).toBe(true);
    expect(
      of({ contributions: [contribution({ block: 25n })] }, [10n, 20n, 30n]).contributorWad("0xaa", []),
    ).toBe(now);
  });

  it("tells validators how often outcomes went as they voted, and makes rows in a fixed order", () => {
    const votes = [
      { validator: "0xv1", support: true },
      { validator: "0xv2", support: false },
    ];
    const contributions = [1n, 2n, 3n, 4n].map((contributionId) => contribution({ contributionId, votes }));
    const rows = of({ contributions }).rows();
    const row = (account: string, datanetId = 0n) =>
      rows.find((one) => one.account === account && one.datanetId === datanetId && one.role === "validator");
    expect(row("0xv1")).toMatchObject({ good: 4, bad: 0 });
    expect(row("0xv2")).toMatchObject({ good: 0, bad: 4 });
    expect(row("0xv1")!.peerPrediction).toBe(0);
    expect(row("0xv1", 1n)!.peerPrediction).toBeNull();
    expect(of({ contributions: contributions.toReversed() }).rows()).toEqual(rows);
  });

  it("proposes to slash who copies again and again, with every copy as evidence", () => {
    const copies = Array.from({ length: 25 }, (_, i) => ({ contributionId: 1n, chunkId: `0x${i}` }));
    const { violations } = of({ contributions: [contribution({})], copies });
    const [proposal] = proposeSlashings(violations, 1);
    expect(proposal).toMatchObject({ account: "0xaa", datanetId: "1", scoreMilli: 25_000n });
    expect(proposal!.evidence).toHaveLength(25);
  });
});
