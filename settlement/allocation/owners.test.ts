import type { Hex } from "viem";
import { expect, it } from "vitest";
import { roles } from "../blob/codes.ts";
import type { Entry } from "../blob/provenance.ts";
import * as leaf from "../tree/leaf.ts";
import * as tree from "../tree/tree.ts";
import { allocateEpoch } from "./epoch.ts";
import { type BatchFacts, type ContributionFacts, type Facts, unscored } from "./facts.ts";
import { type Owners, ownedAt } from "./owners.ts";
import { usageOf } from "./usage.ts";
import { wad } from "./wad.ts";

const [seller, buyer, contributor, modelSeller, modelBuyer] = [1, 2, 3, 4, 5].map(
  (n) => `0x${String(n).padStart(40, "0")}` as Hex,
) as [Hex, Hex, Hex, Hex, Hex];
const [chunkId, modelId] = ["a", "b"].map((digit) => `0x${digit.repeat(64)}` as Hex) as [Hex, Hex];

const contribution: ContributionFacts = {
  contributionBatchId: 7n,
  datanetId: 1n,
  contributor,
  isRetracted: false,
  datanetOwner: buyer,
  ownerBps: 1_000,
  validatorBps: 0,
  votes: [],
};

const facts: Facts = {
  contributionOf: () => contribution,
  modelOf: () => ({ modelId, owner: modelBuyer, ownerBps: 10_000, depth: 0, parents: [] }),
  membershipOf: () => undefined,
  passesGate: () => true,
  attenuationWad: () => wad,
};

/** The Datanet is sold between the two batches, and the model within the block of the second, after it. */
const owners: Owners = {
  ofDatanet: new Map([
    [
      1n,
      [
        { from: "01", owner: seller },
        { from: "05", owner: buyer },
      ],
    ],
  ]),
  ofModel: new Map([
    [
      modelId,
      [
        { from: "02", owner: modelSeller },
        { from: "07", owner: modelBuyer },
      ],
    ],
  ]),
  settledAt: new Map([
    [1n, "04"],
    [2n, "06"],
  ]),
};

function batch(batchId: bigint): BatchFacts {
  const receipt = {
    receiptDigest: `0x${String(batchId).repeat(64)}` as Hex,
    modelId,
    feeWei: 1_000n,
    ...unscored,
    valueBaseWad: -2n * wad,
    valueContextWad: -wad,
    valueAdapterWad: -2n * wad,
    valueBothWad: -wad,
    dataShareWad: wad / 2n,
    candidates: [{ chunkId, inContext: true }],
    passages: new Map([[chunkId, wad]]),
  };
  return {
    batchId,
    poolWei: 1_000n,
    treasuryWei: 0n,
    usage: [{ modelId, amountWei: 1_000n }],
    receipts: [receipt],
  };
}

it("pays the owners of Datanet and model that there were when each batch was settled", () => {
  const owned: Facts = { ...facts, ownedAt: (batchId) => ownedAt(facts, owners, batchId) };
  const { receipts } = allocateEpoch([batch(1n), batch(2n)], { carried: [], rewards: [] }, owned);
  const paid = receipts.map(({ entries }) =>
    entries
      .filter(({ role }) => role === roles.datanetOwner || role === roles.modelOwner)
      .map(({ account, amountWei }) => [account, amountWei]),
  );
  expect(paid).toEqual([
    [
      [seller, 50n],
      [modelSeller, 500n],
    ],
    [
      [buyer, 50n],
      [modelSeller, 500n],
    ],
  ]);
});

function entry(given: Partial<Entry>): Entry {
  const plain = { role: roles.contributor, subject: chunkId, contributionBatchId: 7n, account: contributor };
  return { ...plain, scoreWad: 0n, amountWei: 0n, reason: 0, ...given };
}

it("counts a chunk once per receipt, adds what it earned and leaves out what is carried", () => {
  const other = `0x${"c".repeat(64)}` as Hex;
  const receipts = [
    {
      entries: [
        entry({ amountWei: 5n }),
        entry({ role: roles.datanetOwner, amountWei: 2n }),
        entry({ role: roles.carried, amountWei: 100n }),
        entry({ role: roles.modelOwner, subject: modelId, contributionBatchId: 0n, amountWei: 9n }),
      ],
    },
    { entries: [entry({ amountWei: 1n }), entry({ subject: other, contributionBatchId: 8n })] },
  ];
  const usages = usageOf(3n, receipts, (id) => (id === 7n ? 2n : 1n));
  const uses = [
    { epoch: 3n, datanetId: 1n, subject: other, receiptCount: 1, amountWei: 0n },
    { epoch: 3n, datanetId: 2n, subject: chunkId, receiptCount: 2, amountWei: 8n },
  ];
  expect(usages).toEqual(
    uses.map((use) => ({
      datanetId: use.datanetId,
      usageRoot: tree.rootOf([leaf.usage(use)]),
      amountWei: use.amountWei,
    })),
  );
});

it("comes to the same usage whatever the order of receipts and entries", () => {
  const entries = [entry({ amountWei: 5n }), entry({ subject: modelId, amountWei: 3n })];
  const usages = (lists: Entry[][]) =>
    usageOf(
      1n,
      lists.map((list) => ({ entries: list })),
      () => 1n,
    );
  expect(usages([entries, [entries[0]!]])).toEqual(usages([[entries[0]!], entries.toReversed()]));
});
