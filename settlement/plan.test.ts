import { describe, expect, it } from "vitest";
import { planToBlocks } from "./plan.ts";

const batches = [10n, 10n, 12n, 15n, 15n].map((blockNumber) => ({
  blockNumber,
  blockTimestamp: blockNumber * 2n,
}));
const limits = { epochBatches: 2, ageMsMax: 60_000, finalTimestamp: 40n };

describe("planToBlocks", () => {
  it("waits without batches, and with too few of them that are young", () => {
    expect(planToBlocks([], limits)).toEqual([]);
    expect(planToBlocks(batches.slice(0, 1), limits)).toEqual([]);
  });

  it("ends at the block of the last batch of a full epoch, then of two", () => {
    expect(planToBlocks(batches.slice(0, 3), limits)).toEqual([10n]);
    expect(planToBlocks(batches, limits)).toEqual([10n, 15n]);
  });

  it("ends at the last batch once the first is too old", () => {
    expect(planToBlocks(batches.slice(0, 1), { ...limits, finalTimestamp: 80n })).toEqual([10n]);
    expect(planToBlocks(batches.slice(0, 3), { ...limits, finalTimestamp: 79n })).toEqual([10n]);
    expect(planToBlocks(batches.slice(0, 3), { ...limits, finalTimestamp: 80n })).toEqual([10n, 12n]);
  });
});
