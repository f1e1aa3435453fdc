import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sum } from "#schema/apportion";
import { playerValues } from "../score/total.ts";
import { throughGate } from "./gate.ts";
import { type Netted, net, type Standing } from "./netting.ts";
import {
  type Influence,
  type Line,
  type ReceiptShares,
  receiptShares,
  type ScoredReceipt,
} from "./receipt-shares.ts";

const wad = 10n ** 18n;
const open: Standing = { passesGate: () => true, attenuationWad: () => wad };
const runs = { numRuns: 2_000 };

const influence = fc.bigInt({ min: -1_000_000n, max: 1_000_000n });
const receipts = fc.array(
  fc.record({
    dataWei: fc.bigInt({ min: 0n, max: 10n ** 20n }),
    context: influence,
    helped: fc.boolean(),
    adapter: influence,
    passages: fc.array(influence, { maxLength: 4 }),
    records: fc.array(influence, { maxLength: 8 }),
    unexplained: fc.bigInt({ min: 0n, max: 1_000_000n }),
  }),
  { minLength: 1, maxLength: 6 },
);
type Drawn = typeof receipts extends fc.Arbitrary<(infer T)[]> ? T : never;

/** Records 0 to 11 belong to owners by `ownerOf`. */
function scored(drawn: Drawn, index: number, ownerOf = (record: number) => `o${record % 4}`): ScoredReceipt {
  const influences = (values: readonly bigint[], from: number): Influence[] =>
    values.map((influenceMicro, i) => ({
      recordId: `r${from + i}`,
      owner: ownerOf(from + i),
      influenceMicro,
    }));
  return {
    receiptDigest: `receipt ${index}`,
    dataWei: drawn.dataWei,
    players: {
      contextMicro: drawn.context,
      adapterMicro: drawn.adapter,
      contextHelped: drawn.helped && drawn.context > 0n,
    },
    passages: influences(drawn.passages, 0),
    records: influences(drawn.records, 4),
    unexplainedMicro: drawn.unexplained,
  };
}

const linesOf = (drawn: readonly Drawn[], ownerOf?: (record: number) => string) =>
  drawn.flatMap((one, i) => linesIn(receiptShares(scored(one, i, ownerOf))));
const linesIn = ({ passages, records }: ReceiptShares) => [...passages, ...records];
const payOf = ({ pays }: Netted, owner: string) => pays.find((pay) => pay.owner === owner)?.payWei ?? 0n;
const positiveWei = (lines: readonly Line[]) =>
  sum(lines.map(({ signedWei }) => (signedWei > 0n ? signedWei : 0n)));

describe("one receipt", () => {
  it("divides its data share to the wei among who helped, the adapter's owner and the model's carry", () => {
    fc.assert(
      fc.property(receipts, (drawn) => {
        for (const [i, one] of drawn.entries()) {
          const unlistedMicro = one.unexplained / 3n;
          const shares = receiptShares({ ...scored(one, i), unlistedMicro });
          const { adapterOwnerWei, unlistedWei, unclaimedWei } = shares;
          const total = positiveWei(linesIn(shares)) + adapterOwnerWei + unlistedWei + unclaimedWei;
          expect(total).toBe(one.dataWei);
        }
      }),
      runs,
    );
  });

  it("prices harm as it prices help, and gives a record of zero influence nothing", () => {
    const drawn = {
      dataWei: 100n,
      context: 10n,
      helped: true,
      adapter: 0n,
      passages: [8n, -4n, 0n],
      records: [],
      unexplained: 0n,
    };
    expect(linesIn(receiptShares(scored(drawn, 0))).map(({ signedWei }) => signedWei)).toEqual([
      100n,
      -50n,
      0n,
    ]);
  });

  it("lets a question cost the records that harm its answer no more than it paid", () => {
    const drawn = {
      dataWei: 100n,
      context: 9n,
      helped: true,
      adapter: 0n,
      passages: [1n, -6n, -3n],
      records: [],
      unexplained: 0n,
    };
    expect(linesIn(receiptShares(scored(drawn, 0))).map(({ signedWei }) => signedWei)).toEqual([
      100n,
      -67n,
      -34n,
    ]);
    fc.assert(
      fc.property(receipts, (all) => {
        for (const line of linesOf(all).filter(({ signedWei }) => signedWei < 0n)) {
          const receipt = all[Number(line.receiptDigest.split(" ")[1])]!;
          expect(-line.signedWei <= receipt.dataWei).toBe(true);
        }
      }),
    );
  });

  it("leaves the adapter's owner what no record explains", () => {
    const drawn = {
      dataWei: 100n,
      context: 5n,
      helped: true,
      adapter: 5n,
      passages: [5n],
      records: [1n, -1n],
      unexplained: 4n,
    };
    const shares = receiptShares(scored(drawn, 0));
    const { adapterOwnerWei } = shares;
    expect(linesIn(shares).map(({ signedWei }) => signedWei)).toEqual([50n, 10n, -10n]);
    expect(adapterOwnerWei).toBe(40n);
  });
});

describe("a context", () => {
  it("that added nothing to the adapter is paid nothing: the adapter has all of it", () => {
    const players = playerValues({
      ...{ baseMicro: -10_000_000n, contextMicro: -2_000_000n },
      ...{ adapterMicro: -1_000_000n, bothMicro: -2_000_000n },
    });
    const passages = [1n, -1_000_001n].map((influenceMicro, i) => ({
      ...{ recordId: `p${i}`, owner: `o${i}`, influenceMicro },
    }));
    const unexplainedMicro = players.adapterMicro;
    const receipt = { receiptDigest: "r", dataWei: 800n, players, passages, records: [], unexplainedMicro };
    expect(receiptShares(receipt)).toEqual({
      ...{ passages: [], records: [], adapterOwnerWei: 800n, unlistedWei: 0n, unclaimedWei: 0n },
    });
  });

  it("is paid nothing from noise, whatever its Shapley value; its part is nobody else's where it helped", () => {
    fc.assert(
      fc.property(receipts, (drawn) => {
        for (const [i, one] of drawn.entries()) {
          const given = scored(one, i);
          const shares = receiptShares(given);
          const didHelp = one.passages.some((influenceMicro) => influenceMicro > 0n);
          if (!given.players.contextHelped || !didHelp) expect(shares.passages).toEqual([]);
          if (!given.players.contextHelped) continue;
          const worth = one.context + (one.adapter > 0n ? one.adapter : 0n);
          const adapterWei = positiveWei(shares.records) + shares.adapterOwnerWei;
          expect(adapterWei * worth <= one.dataWei * (worth - one.context) + worth).toBe(true);
        }
      }),
      runs,
    );
  });
});

describe("an epoch of one model", () => {
  it("is efficient: what is paid and what is carried are what the receipts gave, to the wei, and lines sum to pays", () => {
    const gates = fc.array(fc.boolean(), { minLength: 12, maxLength: 12 });
    const attenuations = fc.array(fc.bigInt({ min: 0n, max: wad }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(receipts, gates, attenuations, (drawn, gate, attenuation) => {
        const lines = linesOf(drawn);
        const netted = net(lines, {
          passesGate: (id) => gate[Number(id.slice(1))]!,
          attenuationWad: (owner) => attenuation[Number(owner.slice(1))]!,
        });
        expect(sum(netted.pays.map(({ payWei }) => payWei)) + netted.carriedWei).toBe(positiveWei(lines));
        expect(netted.carriedWei >= 0n).toBe(true);
        for (const pay of netted.pays) {
          expect(sum(pay.lines.map(({ wei }) => wei))).toBe(pay.payWei);
          for (const line of pay.lines) {
            const given = lines.find(
              (l) => l.receiptDigest === line.receiptDigest && l.recordId === line.recordId,
            );
            const parts = [line.wei, line.gatedWei, line.nettedWei, line.attenuatedWei];
            expect(sum(parts)).toBe(given!.signedWei);
            expect(parts.every((wei) => wei >= 0n)).toBe(true);
            if (!gate[Number(line.recordId.slice(1))]) expect(line.wei).toBe(0n);
          }
        }
      }),
      runs,
    );
  });

  it("is symmetric: renaming owners renames pays", () => {
    fc.assert(
      fc.property(receipts, (drawn) => {
        const [before, after] = [linesOf(drawn), linesOf(drawn, (record) => `o${3 - (record % 4)}`)].map(
          (lines) => net(lines, open),
        );
        for (const i of [0, 1, 2, 3]) expect(payOf(after!, `o${3 - i}`)).toBe(payOf(before!, `o${i}`));
      }),
      runs,
    );
  });

  it("pays a null player nothing, whatever its reputation", () => {
    fc.assert(
      fc.property(receipts, (drawn) => {
        const silent = drawn.map((one) => ({
          ...one,
          passages: one.passages.map((x, i) => (i % 4 === 0 ? 0n : x)),
          records: one.records.map((x, i) => (i % 4 === 0 ? 0n : x)),
        }));
        expect(payOf(net(linesOf(silent), open), "o0")).toBe(0n);
      }),
      runs,
    );
  });

  it("is monotone: more help, more reputation, or a record through the gate never lower an owner's pay", () => {
    fc.assert(
      fc.property(
        receipts,
        fc.bigInt({ min: 0n, max: 10n ** 18n }),
        fc.bigInt({ min: 0n, max: wad }),
        (drawn, more, low) => {
          const lines = linesOf(drawn);
          const base = net(lines, { ...open, attenuationWad: () => low });
          const raised = lines.map((line) =>
            line.owner === "o1" ? { ...line, signedWei: line.signedWei + more } : line,
          );
          expect(payOf(net(raised, { ...open, attenuationWad: () => low }), "o1") >= payOf(base, "o1")).toBe(
            true,
          );
          expect(payOf(net(lines, open), "o1") >= payOf(base, "o1")).toBe(true);
          const gated = net(lines, { ...open, passesGate: (id) => id !== "r5" });
          expect(payOf(net(lines, open), "o1") >= payOf(gated, "o1")).toBe(true);
        },
      ),
      runs,
    );
  });

  it("pays nobody for splitting records among identities while no identity's total is negative", () => {
    fc.assert(
      fc.property(receipts, (drawn) => {
        const together = linesOf(drawn, (record) => (record % 4 === 0 ? "attacker" : `o${record % 4}`));
        const apart = linesOf(drawn, (record) => (record % 4 === 0 ? `sybil${record}` : `o${record % 4}`));
        const totals = new Map<string, bigint>();
        for (const { owner, signedWei } of apart) totals.set(owner, (totals.get(owner) ?? 0n) + signedWei);
        const sybils = [...totals].filter(([owner]) => owner.startsWith("sybil"));
        fc.pre(sybils.every(([, wei]) => wei >= 0n));
        const won = sum(sybils.map(([owner]) => payOf(net(apart, open), owner)));
        expect(won).toBe(payOf(net(together, open), "attacker"));
      }),
      runs,
    );
  });

  it("counts the harm of records that the gate shut out", () => {
    const lines: Line[] = [
      { receiptDigest: "a", recordId: "r0", owner: "o", signedWei: 10n },
      { receiptDigest: "a", recordId: "r1", owner: "o", signedWei: -4n },
      { receiptDigest: "b", recordId: "r1", owner: "o", signedWei: 3n },
    ];
    const netted = net(lines, { ...open, passesGate: (id) => id === "r0" });
    expect(netted).toMatchObject({
      pays: [
        {
          owner: "o",
          payWei: 6n,
          lines: [
            { receiptDigest: "a", recordId: "r0", wei: 6n, gatedWei: 0n, nettedWei: 4n },
            { receiptDigest: "b", recordId: "r1", wei: 0n, gatedWei: 3n, nettedWei: 0n },
          ],
        },
      ],
      carriedWei: 7n,
    });
  });

  it("lets a record through the gate unless it is clearly harmful, and none of an owner whose records do not clearly help", () => {
    const passing = (...records: [string, string, bigint[]][]) => [
      ...throughGate(
        records.map(([recordId, owner, influencesMicro]) => ({ recordId, owner, influencesMicro })),
      ),
    ];
    expect(passing(["a", "o", [3n, 2n]])).toEqual(["a"]);
    // A mean within one and a half standard errors is nothing to stand by alone.
    expect(passing(["a", "o", [3n, -2n]])).toEqual([]);
    expect(passing(["a", "o", [8n, 7n, -1n, -1n]])).toEqual(["a"]);
    expect(passing(["a", "o", [7n, 7n, -1n, -1n]])).toEqual([]);
    // Within two of them it is no harm beside records that help.
    expect(passing(["a", "o", [20n, -21n]], ["b", "o", [9n, 9n]])).toEqual([]);
    expect(passing(["a", "o", [20n, -21n]], ["b", "o", [9n, 51n]])).toEqual(["a", "b"]);
    expect(passing(["a", "o", [-10n, -10n, 1n, 0n]], ["b", "o", [19n, 19n, 19n, 19n]])).toEqual(["a", "b"]);
    expect(passing(["a", "o", [-1n, -1n, 0n, 0n]], ["b", "o", [9n, 9n, 9n, 9n]])).toEqual(["b"]);
    expect(passing(["a", "o", [20n, -21n]], ["b", "p", [9n, 39n]])).toEqual(["b"]);
    expect(passing(["a", "o", [0n, 0n]], ["b", "o", [1n, 1n]])).toEqual(["b"]);
    expect(passing(["a", "o", [-5n]], ["b", "p", []])).toEqual([]);
    expect(passing(["a", "o", [5n]])).toEqual(["a"]);
  });

  it("gates an owner as one: harm that its records do together keeps all of them out", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(influence, { minLength: 3, maxLength: 3 }), { minLength: 1 }),
        (influences) => {
          const records = influences.map((influencesMicro, i) => ({
            recordId: `r${i}`,
            owner: "o",
            influencesMicro,
          }));
          const through = throughGate(records);
          expect(throughGate(records.toReversed())).toEqual(through);
          if (sum(influences.flat()) <= 0n) expect(through.size).toBe(0);
          for (const { recordId, influencesMicro } of records)
            if (sum(influencesMicro) > 0n && through.size > 0) expect(through.has(recordId)).toBe(true);
        },
      ),
      runs,
    );
  });

  it("lets 10,000 queries of one's own at the least fee move no other receipt's wei", () => {
    const honest: Line[] = Array.from({ length: 40 }, (_, i) => ({
      receiptDigest: `honest ${i}`,
      recordId: `h${i % 10}`,
      owner: `h${i % 10}`,
      signedWei: BigInt(i % 7) * 10n ** 15n - 10n ** 15n,
    }));
    const own: Line[] = Array.from({ length: 10_000 }, (_, i) => [
      { receiptDigest: `own ${i}`, recordId: "a", owner: "attacker", signedWei: 1n },
      { receiptDigest: `own ${i}`, recordId: "h1", owner: "h1", signedWei: 0n },
    ]).flat();
    const [before, after] = [net(honest, open), net([...honest, ...own], open)];
    expect(after.pays.filter(({ owner }) => owner !== "attacker")).toEqual(before.pays);
    expect(payOf(after, "attacker")).toBe(10_000n);
    expect(after.carriedWei).toBe(before.carriedWei);
  });

  it("refuses a bonus", () => {
    const line = { receiptDigest: "a", recordId: "r", owner: "o", signedWei: 1n };
    expect(() => net([line], { ...open, attenuationWad: () => wad + 1n })).toThrow(/no bonus/);
  });
});
