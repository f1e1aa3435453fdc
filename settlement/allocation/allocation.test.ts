import fc from "fast-check";
import { type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { apportion, sum } from "#schema/apportion";
import { reasons, roles } from "../blob/codes.ts";
import { type Entry, modelsPaidMax, type ReceiptScore, validatorsPaidMax } from "../blob/provenance.ts";
import { allocateEpoch, type Balances, spreadPool } from "./epoch.ts";
import type {
  BatchFacts,
  ContributionFacts,
  Facts,
  MembershipFacts,
  ModelFacts,
  ReceiptFacts,
} from "./facts.ts";
import { lineage } from "./lineage.ts";
import { wad } from "./wad.ts";

const id = (seed: string | number): Hex => keccak256(toHex(String(seed)));
const account = (n: number): Hex => `0x${n.toString(16).padStart(40, "0")}`;
const nothing: Balances = { carried: [], rewards: [] };
const micro = 10n ** 12n;

/** A candidate; `score` is its influence in micro-nats where it is in context. */
type Ranked = { chunkId: Hex; inContext: boolean; score: bigint };

/** One receipt alone in its epoch. */
function allocateReceipt(
  receipt: ReceiptFacts,
  poolWei: bigint,
  facts: Facts,
  carriedWei = 0n,
): ReceiptScore {
  const { modelId } = receipt;
  const usage = [{ modelId, amountWei: poolWei }];
  const batch = { batchId: 1n, poolWei, treasuryWei: poolWei / 17n, usage, receipts: [receipt] };
  const carried = carriedWei > 0n ? [{ modelId, amountWei: carriedWei }] : [];
  return allocateEpoch([batch], { carried, rewards: [] }, facts).receipts[0]!;
}

describe("apportion", () => {
  it("gives what is left over to the largest remainders, ties to the first", () => {
    expect(apportion(10n, [1n, 1n, 1n])).toEqual([4n, 3n, 3n]);
    expect(apportion(7n, [5n, 0n, 1n])).toEqual([6n, 0n, 1n]);
    expect(apportion(0n, [0n])).toEqual([0n]);
  });

  it("sums to the total, stays within one wei of the exact share and gives zero weight nothing", () => {
    const weights = fc.array(fc.bigInt({ min: 0n, max: 10n ** 30n }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), weights, (total, given) => {
        fc.pre(sum(given) > 0n);
        const parts = apportion(total, given);
        expect(sum(parts)).toBe(total);
        for (const [i, part] of parts.entries()) {
          const error = part * sum(given) - total * given[i]!;
          expect(error < sum(given) && error > -sum(given)).toBe(true);
          if (given[i] === 0n) expect(part).toBe(0n);
        }
      }),
    );
  });
});

describe("a receipt", () => {
  it("pays contributor, owner and validators of a chunk by their shares, and the model the rest", () => {
    const facts = factsOf({
      c: contribution({
        ownerBps: 1000,
        validatorBps: 500,
        votes: [
          [1, 3n],
          [2, 1n],
        ],
      }),
    });
    const receipt = receiptOf([{ chunkId: id("c"), inContext: true, score: 5n }], wad / 2n);
    expect(lines(allocateReceipt(receipt, 2_000n, facts).entries)).toEqual([
      [roles.contributor, account(100), 850n, reasons.paid],
      [roles.datanetOwner, account(200), 100n, reasons.paid],
      [roles.validator, account(1), 38n, reasons.paid],
      [roles.validator, account(2), 12n, reasons.paid],
      [roles.modelOwner, account(300), 1_000n, reasons.paid],
    ]);
  });

  it("pays the heaviest votes alone where there are many, of equal ones the lower addresses", () => {
    const votes = Array.from({ length: validatorsPaidMax + 2 }, (_, n): [number, bigint] => [n + 1, 1n]);
    votes[validatorsPaidMax + 1] = [validatorsPaidMax + 2, 5n];
    const facts = factsOf({ c: contribution({ validatorBps: 10_000, votes }) });
    const receipt = receiptOf([{ chunkId: id("c"), inContext: true, score: 5n }], wad);
    const { entries } = allocateReceipt(receipt, 1_200n, facts);
    const paid = entries.filter(({ role }) => role === roles.validator);
    expect(paid.map(({ account, amountWei }) => [account, amountWei])).toEqual([
      ...votes.slice(0, validatorsPaidMax - 1).map(([n]) => [account(n), 100n]),
      [account(validatorsPaidMax + 2), 500n],
    ]);
  });

  it("says why each candidate earns nothing", () => {
    const candidates = [
      { chunkId: id("c"), inContext: true, score: 90n },
      { chunkId: id("harmful"), inContext: true, score: -2n },
      { chunkId: id("gone"), inContext: true, score: 90n },
      { chunkId: id("stranger"), inContext: true, score: 90n },
      { chunkId: id("little"), inContext: true, score: 1n },
      { chunkId: id("unread"), inContext: false, score: 0n },
    ];
    const facts = factsOf({
      c: contribution({}),
      harmful: contribution({ contributor: account(101) }),
      gone: contribution({ isRetracted: true }),
      little: contribution({ contributor: account(102) }),
      unread: contribution({}),
    });
    const helped = lines(allocateReceipt(receiptOf(candidates, wad), 27n, facts).entries);
    expect(helped).toEqual([
      [roles.contributor, account(100), 9n, reasons.paid],
      [roles.contributor, account(101), 0n, reasons.noEffect],
      [roles.contributor, account(100), 0n, reasons.retracted],
      [roles.carried, account(0), 9n, reasons.retracted],
      [roles.contributor, account(0), 0n, reasons.noRecipient],
      [roles.carried, account(0), 9n, reasons.noRecipient],
      [roles.contributor, account(102), 0n, reasons.roundsToZero],
      [roles.contributor, account(100), 0n, reasons.belowCut],
    ]);
    const useless = allocateReceipt(receiptOf(candidates, 0n), 27n, facts).entries;
    expect(useless.slice(0, 5).every(({ reason }) => reason === reasons.contextDidNotHelp)).toBe(true);
    expect(useless.at(-1)).toMatchObject({ role: roles.modelOwner, amountWei: 27n });
  });

  it("carries the validators' share where nobody voted, and all of it where nothing earned", () => {
    const facts = factsOf({ c: contribution({ validatorBps: 500, votes: [] }) });
    const one = receiptOf([{ chunkId: id("c"), inContext: true, score: 5n }], wad);
    expect(lines(allocateReceipt(one, 1_000n, facts).entries)).toEqual([
      [roles.contributor, account(100), 950n, reasons.paid],
      [roles.carried, account(0), 50n, reasons.noRecipient],
    ]);
    expect(lines(allocateReceipt(receiptOf([], wad), 10n, facts).entries)).toEqual([
      [roles.carried, account(0), 10n, reasons.noRecipient],
    ]);
  });

  it("pays the first registrant for a class of duplicates, in its own place or after the copy", () => {
    const first = contribution({ contributor: account(101) });
    const facts: Facts = {
      ...factsOf({ copy: contribution({}), twin: contribution({}), first }),
      membershipOf: (chunkId) =>
        chunkId === id("first") ? undefined : { firstChunkId: id("first"), noveltyWad: 0n },
    };
    const copies = ["copy", "twin"].map((name) => ({ chunkId: id(name), inContext: true, score: 0n }));
    const passages = new Map([[id("first"), 7n * micro]]);
    const outside = allocateReceipt({ ...receiptOf(copies, wad), passages }, 10n, facts);
    expect(lines(outside.entries)).toEqual([
      [roles.contributor, account(100), 0n, reasons.duplicate],
      [roles.contributor, account(101), 10n, reasons.paid],
      [roles.contributor, account(100), 0n, reasons.duplicate],
    ]);
    for (const inContext of [true, false]) {
      const ranked = [...copies, { chunkId: id("first"), inContext, score: 7n }];
      const inside = allocateReceipt({ ...receiptOf(ranked, wad), passages }, 10n, facts);
      expect(lines(inside.entries)).toEqual([
        [roles.contributor, account(100), 0n, reasons.duplicate],
        [roles.contributor, account(100), 0n, reasons.duplicate],
        [roles.contributor, account(101), 10n, reasons.paid],
      ]);
    }
  });

  it("tells apart what netting, reputation and repetition take of a line", () => {
    const given = receiptOf(
      [
        { chunkId: id("good"), inContext: true, score: 100n },
        { chunkId: id("bad"), inContext: true, score: -20n },
      ],
      wad,
    );
    const facts: Facts = {
      ...factsOf({ good: contribution({}), bad: contribution({}) }),
      attenuationWad: () => (wad * 3n) / 4n,
      membershipOf: (chunkId) =>
        chunkId === id("good") ? { firstChunkId: chunkId, noveltyWad: wad / 2n } : undefined,
    };
    expect(lines(allocateReceipt(given, 1_000n, facts).entries)).toEqual([
      [roles.contributor, account(100), 300n, reasons.paid],
      [roles.carried, account(0), 200n, reasons.netted],
      [roles.carried, account(0), 200n, reasons.attenuated],
      [roles.carried, account(0), 300n, reasons.notNovel],
      [roles.contributor, account(100), 0n, reasons.noEffect],
    ]);
  });

  it("pays training records beside passages, not those gated or retracted since the training, and leaves the rest to the adapter's owner", () => {
    const base = receiptOf([{ chunkId: id("c"), inContext: true, score: 500n }], wad);
    const [low, middle, high] = [-20_000n * micro, -15_000n * micro, -10_000n * micro];
    const receipt = {
      ...base,
      ...{ valueBaseWad: low!, valueContextWad: middle!, valueAdapterWad: middle!, valueBothWad: high! },
      records: [
        { chunkId: id("c"), scoreWad: 2_000n * micro },
        { chunkId: id("junk"), scoreWad: 1_000n * micro },
        { chunkId: id("gone"), scoreWad: 500n * micro },
        { chunkId: id("bad"), scoreWad: -100n * micro },
      ],
      unexplainedWad: 1_000n * micro,
    };
    const facts: Facts = {
      ...factsOf({
        c: contribution({}),
        junk: contribution({ contributor: account(101) }),
        gone: contribution({ contributor: account(103), isRetracted: true }),
        bad: contribution({ contributor: account(102) }),
      }),
      passesGate: (_, chunkId) => chunkId !== id("junk"),
    };
    const allocated = allocateReceipt(receipt, 1_000n, facts);
    expect(lines(allocated.entries)).toEqual([
      [roles.contributor, account(100), 500n, reasons.paid],
      [roles.recordContributor, account(100), 200n, reasons.paid],
      [roles.recordContributor, account(101), 0n, reasons.gated],
      [roles.carried, account(0), 100n, reasons.gated],
      [roles.recordContributor, account(103), 0n, reasons.retracted],
      [roles.carried, account(0), 50n, reasons.retracted],
      [roles.recordContributor, account(102), 0n, reasons.noEffect],
      [roles.adapterOwner, account(300), 100n, reasons.paid],
      [roles.carried, account(0), 50n, reasons.unlisted],
    ]);
  });

  it("pays no passage where the adapter knew the answer already", () => {
    const receipt = {
      ...receiptOf(
        [
          { chunkId: id("c"), inContext: true, score: 1n },
          { chunkId: id("d"), inContext: true, score: -1_000_001n },
        ],
        (wad * 8n) / 10n,
      ),
      ...{
        valueBaseWad: -10n * wad,
        valueContextWad: -2n * wad,
        valueAdapterWad: -wad,
        valueBothWad: -2n * wad,
      },
      unexplainedWad: (9n * wad) / 2n,
    };
    const facts = factsOf({ c: contribution({}), d: contribution({ contributor: account(101) }) });
    expect(lines(allocateReceipt(receipt, 1_000n, facts).entries)).toEqual([
      [roles.contributor, account(100), 0n, reasons.contextDidNotHelp],
      [roles.contributor, account(101), 0n, reasons.contextDidNotHelp],
      [roles.adapterOwner, account(300), 800n, reasons.paid],
      [roles.modelOwner, account(300), 200n, reasons.paid],
    ]);
  });

  it("conserves every wei, is never negative and pays the null player nothing", () => {
    fc.assert(
      fc.property(
        arbitraryReceipt,
        fc.bigInt({ min: 0n, max: 10n ** 21n }),
        fc.bigInt({ min: 0n, max: 10n ** 18n }),
        (receipt, poolWei, carriedWei) => {
          const allocated = allocateReceipt(receipt, poolWei, arbitraryFacts, carriedWei);
          const { entries, carriedInWei } = allocated;
          expect(sum(entries.map((e) => e.amountWei))).toBe(poolWei + carriedInWei);
          for (const e of entries) {
            expect(e.amountWei >= 0n).toBe(true);
            expect(e.amountWei === 0n || e.account !== account(0) || e.role === roles.carried).toBe(true);
            if (e.role !== roles.modelOwner && e.scoreWad <= 0n && e.subject !== receipt.modelId)
              expect(e.amountWei).toBe(0n);
          }
          expect(entries.filter((e) => e.role === roles.contributor)).toHaveLength(receipt.candidates.length);
        },
      ),
    );
  });

  it("gives candidates in another order the same, except for the odd wei of equal remainders", () => {
    fc.assert(
      fc.property(arbitraryReceipt, fc.bigInt({ min: 0n, max: 10n ** 21n }), (receipt, poolWei) => {
        const turned = { ...receipt, candidates: [...receipt.candidates].reverse() };
        const [a, b] = [receipt, turned].map((r) => bySubject(allocateReceipt(r, poolWei, arbitraryFacts)));
        for (const [subject, amount] of a!) {
          const difference = amount - b!.get(subject)!;
          expect(difference >= -8n && difference <= 8n).toBe(true);
        }
      }),
    );
  });
});

describe("lineage", () => {
  const models: ModelFacts[] = [
    { modelId: id("base"), owner: account(1), ownerBps: 10_000, depth: 0, parents: [] },
    {
      modelId: id("left"),
      owner: account(2),
      ownerBps: 5_000,
      depth: 1,
      parents: [{ modelId: id("base"), weightBps: 10_000 }],
    },
    {
      modelId: id("right"),
      owner: account(3),
      ownerBps: 0,
      depth: 1,
      parents: [{ modelId: id("base"), weightBps: 10_000 }],
    },
    {
      modelId: id("merge"),
      owner: account(4),
      ownerBps: 2_000,
      depth: 2,
      parents: [
        { modelId: id("left"), weightBps: 2_500 },
        { modelId: id("right"), weightBps: 7_500 },
      ],
    },
  ];
  const facts: Facts = { ...factsOf({}), modelOf: (m) => models.find(({ modelId }) => modelId === m) };

  it("keeps each owner's share and passes the rest to the parents by weight, once per model", () => {
    expect(lines(lineage(id("merge"), 1_000n, facts))).toEqual([
      [roles.modelOwner, account(4), 200n, reasons.paid],
      [roles.modelOwner, account(2), 100n, reasons.paid],
      [roles.modelOwner, account(1), 700n, reasons.paid],
    ]);
  });

  it("carries what reaches an unknown model", () => {
    expect(lines(lineage(id("nobody's"), 5n, facts))).toEqual([
      [roles.carried, account(0), 5n, reasons.noRecipient],
    ]);
  });

  it("conserves every wei through a lattice with more paths than atoms, carrying what is left after the nearest models", () => {
    const lattice = new Map<Hex, ModelFacts>();
    for (let depth = 0; depth <= 16; depth++) {
      for (let n = 0; n < 4; n++) {
        const modelId = id(`${depth}.${n}`);
        const parents =
          depth === 0
            ? []
            : [0, 1, 2, 3].map((p) => ({ modelId: id(`${depth - 1}.${p}`), weightBps: 2_500 }));
        lattice.set(modelId, {
          modelId,
          owner: account(depth * 4 + n + 1),
          ownerBps: depth === 0 ? 10_000 : 777,
          depth,
          parents,
        });
      }
    }
    const facts: Facts = { ...factsOf({}), modelOf: (m) => lattice.get(m) };
    const entries = lineage(id("16.0"), 10n ** 18n + 7n, facts);
    expect(sum(entries.map((e) => e.amountWei))).toBe(10n ** 18n + 7n);
    expect(entries).toHaveLength(modelsPaidMax + 1);
    const rest = entries.at(-1)!;
    expect(rest).toMatchObject({ role: roles.carried, subject: id("16.0"), reason: reasons.noRecipient });
    expect(rest.amountWei).toBeGreaterThan(0n);
  });
});

describe("allocateEpoch", () => {
  const facts = factsOf({ c: contribution({}), gone: contribution({ isRetracted: true }) });
  const withheld = receiptOf([{ chunkId: id("gone"), inContext: true, score: 1n }], wad);
  const paid = receiptOf([{ chunkId: id("c"), inContext: true, score: 1n }], wad);
  const batch = (poolWei: bigint, receipts: ReceiptFacts[], treasuryWei = 0n): BatchFacts => ({
    batchId: 1n,
    poolWei,
    treasuryWei,
    usage: [{ modelId: id("model"), amountWei: poolWei }],
    receipts,
  });

  it("spreads a batch's pool over its receipts in proportion to fee", () => {
    expect(spreadPool(10n, [{ feeWei: 1n }, { feeWei: 1n }, { feeWei: 1n }])).toEqual([4n, 3n, 3n]);
    expect(spreadPool(3n, [{ feeWei: 0n }, { feeWei: 0n }])).toEqual([2n, 1n]);
  });

  it("carries a withheld amount into the model's next receipts", () => {
    const first = allocateEpoch([batch(10n, [withheld])], nothing, facts);
    expect(first).toMatchObject({ carried: [{ modelId: id("model"), amountWei: 10n }], rewards: [] });
    const second = allocateEpoch(
      [
        batch(
          30n,
          [
            { ...paid, feeWei: 1n },
            { ...paid, feeWei: 2n, receiptDigest: id("another receipt") },
          ],
          60n,
        ),
      ],
      first,
      facts,
    );
    expect(second.receipts.map((r) => [r.poolWei, r.carriedInWei])).toEqual([
      [10n, 3n],
      [20n, 7n],
    ]);
    expect(second).toMatchObject({ carried: [], rewards: [{ account: account(100), cumulativeWei: 40n }] });
  });

  it("gives a batch at most half of what it paid to the treasury of what waits, and keeps the rest", () => {
    const modelId = paid.modelId;
    const before = { carried: [{ modelId, amountWei: 100n }], rewards: [] };
    const first = allocateEpoch([batch(850n, [paid], 51n)], before, facts);
    expect(first.receipts[0]).toMatchObject({ poolWei: 850n, carriedInWei: 25n });
    expect(first.carried).toEqual([{ modelId, amountWei: 75n }]);
    const two = ["one", "two"].map((name) => ({ ...paid, receiptDigest: id(name) }));
    const next = allocateEpoch([batch(1n, [paid], 1n), batch(2_000n, two, 200n)], first, facts);
    expect(next.receipts.map(({ carriedInWei }) => carriedInWei)).toEqual([0n, 38n, 37n]);
    expect(next.carried).toEqual([]);
    expect(allocateEpoch([batch(10n ** 6n, [paid])], before, facts).carried).toEqual(before.carried);
  });

  it("carries the pool of a batch whose blob was refused, and leaves it with models that have no receipts", () => {
    const refused = {
      ...batch(10n, []),
      usage: [
        { modelId: id("b"), amountWei: 3n },
        { modelId: id("a"), amountWei: 1n },
      ],
    };
    const first = allocateEpoch([refused], nothing, facts);
    expect(first.carried).toEqual(
      [
        { modelId: id("a"), amountWei: 3n },
        { modelId: id("b"), amountWei: 7n },
      ].sort((x, y) => (x.modelId < y.modelId ? -1 : 1)),
    );
    expect(allocateEpoch([batch(5n, [paid])], first, facts).carried).toEqual(first.carried);
  });

  it("conserves every wei over epochs, and never lowers a cumulative reward", () => {
    fc.assert(
      fc.property(fc.array(arbitraryBatches, { minLength: 1, maxLength: 4 }), (epochs) => {
        let standing = nothing;
        let fundedWei = 0n;
        for (const batches of epochs) {
          const next = allocateEpoch(batches, standing, arbitraryFacts);
          fundedWei += sum(batches.map((b) => b.poolWei));
          expect(
            sum(next.rewards.map((r) => r.cumulativeWei)) + sum(next.carried.map((c) => c.amountWei)),
          ).toBe(fundedWei);
          const after = new Map(next.rewards.map((r) => [r.account, r.cumulativeWei]));
          for (const r of standing.rewards) expect(after.get(r.account)! >= r.cumulativeWei).toBe(true);
          standing = next;
        }
      }),
      { numRuns: 60 },
    );
  });
});

type Loose = Partial<Omit<ContributionFacts, "votes">> & { votes?: [number, bigint][] };

function contribution({ votes = [[1, 1n]], ...given }: Loose): ContributionFacts {
  return {
    contributionBatchId: 1n,
    datanetId: 1n,
    contributor: account(100),
    isRetracted: false,
    datanetOwner: account(200),
    ownerBps: 0,
    validatorBps: 0,
    ...given,
    votes: votes.map(([n, weight]) => ({ validator: account(n), weight })),
  };
}

function factsOf(contributions: Record<string, ContributionFacts>): Facts {
  const known = new Map(Object.entries(contributions).map(([name, c]) => [id(name), c]));
  const model = { modelId: id("model"), owner: account(300), ownerBps: 10_000, depth: 0, parents: [] };
  return {
    contributionOf: (chunkId) => known.get(chunkId),
    modelOf: (m) => (m === id("model") ? model : undefined),
    membershipOf: () => undefined,
    passesGate: () => true,
    attenuationWad: () => wad,
  };
}

/** A receipt whose context is worth something exactly where the data share is not zero. */
function receiptOf(candidates: readonly Ranked[], dataShareWad: bigint): ReceiptFacts {
  const [valueBaseWad, helpedWad] = [-20_000n * micro, -10_000n * micro];
  const valueContextWad = dataShareWad > 0n ? helpedWad : valueBaseWad;
  return {
    receiptDigest: id("receipt"),
    modelId: id("model"),
    feeWei: 1n,
    valueBaseWad,
    valueContextWad,
    valueAdapterWad: valueBaseWad,
    valueBothWad: valueContextWad,
    dataShareWad,
    candidates: candidates.map(({ chunkId, inContext }) => ({ chunkId, inContext })),
    passages: new Map(
      candidates.flatMap(({ chunkId, inContext, score }) =>
        inContext ? [[chunkId, score * micro] as const] : [],
      ),
    ),
    records: [],
    unexplainedWad: 0n,
  };
}

function lines(entries: readonly Entry[]) {
  return entries.map(({ role, account, amountWei, reason }) => [role, account, amountWei, reason]);
}

function bySubject({ entries }: ReceiptScore): Map<Hex, bigint> {
  const totals = new Map<Hex, bigint>();
  for (const { subject, amountWei } of entries) totals.set(subject, (totals.get(subject) ?? 0n) + amountWei);
  return totals;
}

const repeats = new Map<Hex, MembershipFacts>([
  [id("chunk 2"), { firstChunkId: id("chunk 2"), noveltyWad: wad / 3n }],
]);

const arbitraryFacts: Facts = {
  ...factsOf(
    Object.fromEntries(
      [...Array(7).keys()].map((n) => [
        `chunk ${n}`,
        contribution({
          contributor: account(100 + (n % 3)),
          isRetracted: n === 5,
          ownerBps: n * 300,
          validatorBps: n * 400,
          votes: n === 6 ? [] : [...Array(n).keys()].map((v) => [v + 1, BigInt(v * v + 1)]),
        }),
      ]),
    ),
  ),
  membershipOf: (chunkId) => repeats.get(chunkId),
  attenuationWad: ({ account: of }) => wad - (BigInt(of) * wad) / 1_000n,
};

const arbitraryReceipt = fc
  .record({
    candidates: fc.uniqueArray(
      fc.record({
        chunkId: fc.nat(7).map((n) => id(`chunk ${n}`)),
        inContext: fc.boolean(),
        score: fc.oneof(fc.constant(0n), fc.bigInt({ min: -(10n ** 7n), max: 10n ** 7n })),
      }),
      { maxLength: 8, selector: (c) => c.chunkId },
    ),
    dataShareWad: fc.oneof(fc.constant(0n), fc.constant(wad), fc.bigInt({ min: 0n, max: wad })),
    feeWei: fc.bigInt({ min: 0n, max: 10n ** 18n }),
    modelId: fc.constantFrom(id("model"), id("unknown model")),
    digest: fc.uuid(),
  })
  .map(({ candidates, digest, ...given }): ReceiptFacts => {
    const receipt = receiptOf(candidates, given.dataShareWad);
    return { ...receipt, ...given, receiptDigest: id(digest) };
  });

const arbitraryBatches = fc.array(
  fc
    .record({
      poolWei: fc.bigInt({ min: 0n, max: 10n ** 20n }),
      treasuryWei: fc.bigInt({ min: 0n, max: 10n ** 20n }),
      receipts: fc.array(arbitraryReceipt, { maxLength: 4 }),
    })
    .map(
      (given): BatchFacts => ({
        batchId: 1n,
        usage: [{ modelId: id("model"), amountWei: given.poolWei }],
        ...given,
      }),
    ),
  { minLength: 1, maxLength: 3 },
);
