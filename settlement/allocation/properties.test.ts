/** What the research asks of the whole allocation (attribution: properties to test), over thousands of drawn epochs. */
import fc from "fast-check";
import { type Address, type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { attenuationWad } from "#engine/reputation/reputation";
import { sum } from "#schema/apportion";
import { roles } from "../blob/codes.ts";
import { allocateEpoch, type Balances } from "./epoch.ts";
import type { BatchFacts, ContributionFacts, Facts, InfluenceFacts, ReceiptFacts } from "./facts.ts";
import { wad } from "./wad.ts";

const runs = { numRuns: 1_000 };
const micro = 10n ** 12n;
const id = (name: string): Hex => keccak256(toHex(name));
const owner = (n: number): Address => `0x${(n + 1).toString(16).padStart(40, "0")}`;
const modelId = id("model");
const chunkCount = 12;
const ids = Array.from({ length: chunkCount }, (_, n) => id(`chunk ${n}`));
const nothing: Balances = { carried: [], rewards: [] };

/** Chunk n belongs to owner n mod 4, unless said otherwise; nobody but contributors and the model's owner is paid. */
type World = {
  ownerOf: (chunk: number) => Address;
  attenuation: (account: Address) => bigint;
  novelty: (chunk: number) => bigint;
  copies: ReadonlyMap<Hex, number>;
};
const plain: World = {
  ownerOf: (chunk) => owner(chunk % 4),
  attenuation: () => wad,
  novelty: () => wad,
  copies: new Map(),
};

function factsOf(given: Partial<World> = {}): Facts {
  const world = { ...plain, ...given };
  const contribution = (contributor: Address): ContributionFacts => ({
    contributionBatchId: 1n,
    datanetId: 1n,
    contributor,
    isRetracted: false,
    datanetOwner: owner(900),
    ownerBps: 0,
    validatorBps: 0,
    votes: [],
  });
  const chunkOf = new Map(ids.map((chunkId, n) => [chunkId, n]));
  return {
    contributionOf: (chunkId) => {
      const chunk = chunkOf.get(chunkId);
      if (chunk !== undefined) return contribution(world.ownerOf(chunk));
      return world.copies.has(chunkId) ? contribution(owner(800)) : undefined;
    },
    modelOf: () => ({ modelId, owner: owner(901), ownerBps: 10_000, depth: 0, parents: [] }),
    membershipOf: (chunkId) => {
      const first = world.copies.get(chunkId);
      if (first !== undefined) return { firstChunkId: ids[first]!, noveltyWad: 0n };
      const noveltyWad = world.novelty(chunkOf.get(chunkId)!);
      return noveltyWad === wad ? undefined : { firstChunkId: chunkId, noveltyWad };
    },
    passesGate: () => true,
    attenuationWad: ({ account }) => world.attenuation(account),
  };
}

const influences = fc.array(
  fc.record({ chunk: fc.nat(chunkCount - 1), score: fc.bigInt({ min: -1_000_000n, max: 1_000_000n }) }),
  { maxLength: 4 },
);
const epochs = fc.array(
  fc.record({
    poolWei: fc.oneof(fc.bigInt({ min: 0n, max: 100n }), fc.bigInt({ min: 0n, max: 10n ** 20n })),
    passages: influences,
    records: influences,
    share: fc.bigInt({ min: 0n, max: wad }),
    unexplained: fc.bigInt({ min: 0n, max: 1_000_000n }),
  }),
  { minLength: 1, maxLength: 5 },
);
type Drawn = typeof epochs extends fc.Arbitrary<(infer T)[]> ? T : never;

function receiptOf(drawn: Drawn, index: number, change: Partial<ReceiptFacts> = {}): ReceiptFacts {
  const unique = (of: Drawn["passages"]) => [
    ...new Map(of.map(({ chunk, score }) => [ids[chunk]!, score * micro])),
  ];
  const passages = unique(drawn.passages);
  const records: InfluenceFacts[] = unique(drawn.records).map(([chunkId, scoreWad]) => ({
    chunkId,
    scoreWad,
  }));
  const [base, one, both] = [-9_000_000n * micro, -6_000_000n * micro, -3_000_000n * micro];
  return {
    receiptDigest: id(`receipt ${index}`),
    modelId,
    feeWei: 1n,
    valueBaseWad: base!,
    valueContextWad: one!,
    valueAdapterWad: one!,
    valueBothWad: both!,
    dataShareWad: drawn.share,
    candidates: passages.map(([chunkId]) => ({ chunkId, inContext: true })),
    passages: new Map(passages),
    records,
    unexplainedWad: drawn.unexplained * micro,
    ...change,
  };
}

const withoutAdapter = { valueAdapterWad: -9_000_000n * micro, valueBothWad: -6_000_000n * micro };
const batchOf = (poolWei: bigint, receipt: ReceiptFacts, index: number): BatchFacts => ({
  batchId: BigInt(index + 1),
  poolWei,
  treasuryWei: poolWei / 17n,
  usage: [{ modelId, amountWei: poolWei }],
  receipts: [receipt],
});
const allocate = (drawn: readonly Drawn[], facts: Facts) =>
  allocateEpoch(
    drawn.map((one, i) => batchOf(one.poolWei, receiptOf(one, i), i)),
    nothing,
    facts,
  );
const payOf = ({ rewards }: ReturnType<typeof allocateEpoch>, account: Address) =>
  rewards.find((reward) => reward.account === account)?.cumulativeWei ?? 0n;
const linesIn = (drawn: readonly Drawn[]) =>
  BigInt(drawn.reduce((count, { passages, records }) => count + passages.length + records.length, 0));

/** A question that owner 3 asks about his own record; it may harm one of owner 1. */
const mine = (harm: bigint): Drawn => ({
  poolWei: 1n,
  passages: [
    { chunk: 3, score: 900_000n },
    { chunk: 1, score: -harm },
  ],
  records: [],
  share: wad,
  unexplained: 0n,
});

describe("the whole allocation", () => {
  it("is efficient: every receipt's entries are its money, and the epoch's pools are rewards and carried", () => {
    fc.assert(
      fc.property(epochs, fc.bigInt({ min: 0n, max: wad }), (drawn, level) => {
        const facts = factsOf({ attenuation: () => level, novelty: (chunk) => (wad * BigInt(chunk)) / 11n });
        const found = allocate(drawn, facts);
        for (const { entries, poolWei, carriedInWei } of found.receipts)
          expect(sum(entries.map(({ amountWei }) => amountWei))).toBe(poolWei + carriedInWei);
        const rewardsWei = sum(found.rewards.map(({ cumulativeWei }) => cumulativeWei));
        const carriedWei = sum(found.carried.map(({ amountWei }) => amountWei));
        expect(rewardsWei + carriedWei).toBe(sum(drawn.map(({ poolWei }) => poolWei)));
      }),
      runs,
    );
  });

  it("is symmetric: renaming the owners renames the payouts, to the wei", () => {
    fc.assert(
      fc.property(epochs, fc.bigInt({ min: 0n, max: wad }), (drawn, low) => {
        const turn = (n: number) => owner(3 - n);
        const before = allocate(drawn, factsOf({ attenuation: (of) => (of === owner(1) ? low : wad) }));
        const after = allocate(
          drawn,
          factsOf({
            ownerOf: (chunk) => turn(chunk % 4),
            attenuation: (of) => (of === turn(1) ? low : wad),
          }),
        );
        for (const n of [0, 1, 2, 3]) expect(payOf(after, turn(n))).toBe(payOf(before, owner(n)));
      }),
      runs,
    );
  });

  it("pays a null player nothing, whatever its reputation", () => {
    fc.assert(
      fc.property(epochs, (drawn) => {
        const silence = (of: Drawn["passages"]) =>
          of.map(({ chunk, score }) => ({ chunk, score: chunk % 4 === 2 ? 0n : score }));
        const silent = drawn.map((one) => ({
          ...one,
          passages: silence(one.passages),
          records: silence(one.records),
        }));
        expect(payOf(allocate(silent, factsOf()), owner(2))).toBe(0n);
      }),
      runs,
    );
  });

  it("is monotone: more help or more reputation never lowers an owner's pay, but for the odd wei of a division", () => {
    fc.assert(
      fc.property(
        epochs,
        fc.nat(4),
        fc.bigInt({ min: 0n, max: 10n ** 6n }),
        fc.bigInt({ min: 0n, max: wad }),
        (drawn, pick, more, low) => {
          const poor = allocate(drawn, factsOf({ attenuation: (of) => (of === owner(1) ? low : wad) }));
          const rich = allocate(drawn, factsOf());
          expect(payOf(rich, owner(1)) >= payOf(poor, owner(1))).toBe(true);
          const raise = (of: Drawn["passages"]) =>
            of.map(({ chunk, score }) => ({ chunk, score: chunk % 4 === 1 ? score + more : score }));
          const raised = drawn.map((one, i) =>
            i === pick ? { ...one, passages: raise(one.passages) } : one,
          );
          expect(payOf(allocate(raised, factsOf()), owner(1)) + linesIn(drawn) >= payOf(rich, owner(1))).toBe(
            true,
          );
        },
      ),
      runs,
    );
  });

  it("gives copies of a record exactly nothing, and takes nothing from its first registrant", () => {
    fc.assert(
      fc.property(epochs, fc.nat(chunkCount - 1), fc.integer({ min: 1, max: 10 }), (drawn, first, count) => {
        const names = Array.from({ length: count }, (_, i) => id(`copy ${i}`));
        const copies = new Map(names.map((name) => [name, first]));
        const before = allocate(drawn, factsOf());
        const batches = drawn.map((one, i) => {
          const receipt = receiptOf(one, i);
          const isIn = receipt.passages.has(ids[first]!);
          const added = isIn ? names.map((chunkId) => ({ chunkId, inContext: true })) : [];
          return batchOf(one.poolWei, { ...receipt, candidates: [...receipt.candidates, ...added] }, i);
        });
        const after = allocateEpoch(batches, nothing, factsOf({ copies }));
        expect(after.rewards).toEqual(before.rewards);
        expect(after.carried).toEqual(before.carried);
      }),
      runs,
    );
  });

  it("pays nobody more for spreading records that help over identities of equal reputation", () => {
    fc.assert(
      fc.property(epochs, fc.bigInt({ min: 0n, max: wad }), (drawn, level) => {
        const helping = (of: Drawn["passages"]) =>
          of.map(({ chunk, score }) => ({ chunk, score: chunk % 4 === 0 && score < 0n ? -score : score }));
        const good = drawn.map((one) => ({
          ...one,
          passages: helping(one.passages),
          records: helping(one.records),
        }));
        const attenuation = () => level;
        const together = payOf(allocate(good, factsOf({ attenuation })), owner(0));
        const sybil = (chunk: number) => (chunk % 4 === 0 ? owner(100 + chunk) : owner(chunk % 4));
        const apart = allocate(good, factsOf({ attenuation, ownerOf: sybil }));
        const won = sum([0, 4, 8].map((chunk) => payOf(apart, owner(100 + chunk))));
        expect(won <= together).toBe(true);
      }),
      runs,
    );
  });

  it("pays a new name no more than a clean old one: whitewashing wins nothing", () => {
    const fresh = attenuationWad({ good: 0, bad: 0 });
    fc.assert(
      fc.property(epochs, fc.double({ min: 0, max: 200, noNaN: true }), (drawn, good) => {
        const old = attenuationWad({ good, bad: 0 });
        const as = (level: bigint) =>
          allocate(drawn, factsOf({ attenuation: (of) => (of === owner(0) ? level : wad) }));
        expect(payOf(as(fresh), owner(0)) <= payOf(as(old), owner(0))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("lets 10,000 questions of one's own at the least fee move no wei of another receipt's fee", () => {
    const share = wad;
    const honest: Drawn[] = Array.from({ length: 20 }, (_, i) => ({
      poolWei: 10n ** 15n + BigInt(i),
      passages: [
        { chunk: i % chunkCount, score: 500_000n },
        { chunk: (i + 5) % chunkCount, score: -100_000n },
      ],
      records: [],
      share,
      unexplained: 0n,
    }));
    const attack = (harm: bigint) => [...honest, ...Array.from({ length: 10_000 }, () => mine(harm))];
    const before = allocate(honest, factsOf());
    const after = allocate(attack(0n), factsOf());
    const others = (found: typeof before) =>
      found.receipts
        .slice(0, honest.length)
        .flatMap(({ entries }) => entries.filter(({ account }) => account !== owner(3)))
        .filter(({ role }) => role === roles.contributor);
    expect(others(after)).toEqual(others(before));
    // What harms others costs them at most what it cost to ask.
    const harmful = allocate(attack(10n ** 6n), factsOf());
    for (const n of [0, 2]) expect(payOf(harmful, owner(n))).toBe(payOf(before, owner(n)));
    const lost = payOf(before, owner(1)) - payOf(harmful, owner(1));
    expect(lost >= 0n && lost <= 10_000n).toBe(true);
  });

  it("lets no question about one's own records, at one's own node and model, earn what it cost, whatever is carried", () => {
    const questions = fc.array(
      fc.record({
        feeWei: fc.oneof(fc.bigInt({ min: 0n, max: 100n }), fc.bigInt({ min: 0n, max: 10n ** 18n })),
        nodeBps: fc.bigInt({ min: 0n, max: 5_000n }),
        treasuryBps: fc.bigInt({ min: 0n, max: 5_000n }),
        share: fc.bigInt({ min: 0n, max: wad }),
      }),
      { minLength: 1, maxLength: 5 },
    );
    const carried = fc.bigInt({ min: 1n, max: 10n ** 24n });
    fc.assert(
      fc.property(questions, carried, (asked, amountWei) => {
        const batches = asked.map((one, i) => {
          const [nodeWei, treasuryWei] = [one.nodeBps, one.treasuryBps].map(
            (bps) => (one.feeWei * bps) / 10_000n,
          );
          const receipt = receiptOf({ ...mine(0n), share: one.share }, i, withoutAdapter);
          const poolWei = one.feeWei - nodeWei! - treasuryWei!;
          return { ...batchOf(poolWei, receipt, i), treasuryWei: treasuryWei! };
        });
        const before = { carried: [{ modelId, amountWei }], rewards: [] };
        const after = allocateEpoch(batches, before, factsOf());
        // Whoever is paid, and the node, are all the asker.
        const backWei = sum(after.rewards.map(({ cumulativeWei }) => cumulativeWei));
        const poolWei = sum(batches.map((batch) => batch.poolWei));
        const treasuryWei = sum(batches.map((batch) => batch.treasuryWei));
        expect(2n * (backWei - poolWei) <= treasuryWei).toBe(true);
      }),
      runs,
    );
  });

  it("lets 10,000 questions of one's own take of 10^18 wei that are carried no more than half of what the treasury got", () => {
    const before = { carried: [{ modelId, amountWei: 10n ** 18n }], rewards: [] };
    const own = Array.from({ length: 10_000 }, (_, i) => {
      return {
        ...batchOf(85n * 10n ** 10n, receiptOf(mine(0n), i, withoutAdapter), i),
        treasuryWei: 5n * 10n ** 10n,
      };
    });
    const after = allocateEpoch(own, before, factsOf());
    const wonWei = payOf(after, owner(3)) - 85n * 10n ** 14n;
    expect(wonWei).toBe((5n * 10n ** 14n) / 2n);
    expect(after.carried).toEqual([{ modelId, amountWei: 10n ** 18n - wonWei }]);
  });
});
