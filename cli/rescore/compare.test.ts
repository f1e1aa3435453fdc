import { type Hex, keccak256, stringToHex } from "viem";
import { expect, it } from "vitest";
import type { Rescored } from "#engine/rescore";
import { toWad } from "#engine/score/quantise";
import type * as provenance from "#settlement/blob/provenance";
import { compareScores } from "./compare.ts";

const id = (byte: string): Hex => `0x${byte.repeat(32)}`;
const method = "tributary-engine 2; dispute tolerance 1000 micro-nats for a value; profile a";
const methodHash = keccak256(stringToHex(method));

const entry = (subject: Hex, scoreMicro: bigint) =>
  ({ role: 0, subject, scoreWad: toWad(scoreMicro) }) as provenance.Entry;
const score = {
  valueBaseWad: toWad(-9_000_000n),
  valueContextWad: toWad(-2_000_000n),
  valueAdapterWad: toWad(-9_000_000n),
  valueBothWad: toWad(-2_000_000n),
  dataShareWad: 1n,
  entries: [entry(id("aa"), 5_000_000n), entry(id("bb"), 2_000_000n)],
} as unknown as provenance.ReceiptScore;
const published = { epoch: { epoch: 3n, method, methodHash } as provenance.Provenance, score };

const micro = (value: bigint) => String(toWad(value));
const rescored = (both: bigint, passage: bigint, given: Partial<Rescored> = {}): Rescored => ({
  batchId: "1",
  methodHash,
  method,
  values: {
    base: micro(-9_000_000n),
    context: micro(both),
    adapter: micro(-9_000_000n),
    both: micro(both),
  },
  passages: [
    { id: id("aa"), scoreWad: micro(passage), estimator: "shapley-exact" },
    { id: id("bb"), scoreWad: micro(2_000_000n), estimator: "shapley-exact" },
  ],
  records: [],
  unexplainedWad: "0",
  ...given,
});

it("is within the tolerance of the epoch's method, to the micro-nat", () => {
  expect(compareScores(published, rescored(-2_001_000n, 5_001_000n), false).verdict).toBe("within");
  const beyond = compareScores(published, rescored(-2_001_001n, 5_000_000n), false);
  expect(beyond).toMatchObject({ verdict: "beyond", epoch: "3", toleranceMicro: "1000", notes: [] });
  expect(beyond.differences.filter(({ isWithin }) => isWithin === false).map(({ name }) => name)).toEqual([
    "v(base, context)",
    "v(both)",
  ]);
});

it("judges influences too, and what one side does not list as zero", () => {
  expect(compareScores(published, rescored(-2_000_000n, 4_000_000n), false).verdict).toBe("beyond");
  const passages = [{ id: id("aa"), scoreWad: micro(5_000_000n), estimator: "shapley-exact" }];
  const missing = compareScores(published, rescored(-2_000_000n, 0n, { passages }), false);
  expect(missing.differences.find(({ isWithin }) => isWithin === false)).toMatchObject({ rescoredWad: 0n });
});

it("shows exact influences without a judgement", () => {
  expect(compareScores(published, rescored(-2_000_000n, 4_000_000n), true).verdict).toBe("within");
});

it("accuses nobody by another method, and says what differs", () => {
  const other = {
    method: method.replace("profile a", "profile b"),
    methodHash: id("cc"),
  };
  expect(compareScores(published, rescored(-2_000_000n, 4_000_000n, other), false)).toMatchObject({
    verdict: "other method",
    notes: ["the epoch: profile a", "here: profile b"],
  });
  expect(compareScores(published, rescored(-2_000_000n, 5_000_000n, other), false).verdict).toBe("within");
});
