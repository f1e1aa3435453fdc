import { zeroHash } from "viem";
import { expect, it } from "vitest";
import { encodingOf, primalColumnsMax, StoreTooLargeError, shaped, shapeOf } from "./store-shape.ts";

const blocks = [
  { name: "a", columns: 4_000 },
  { name: "b", columns: 100 },
];
const training = { adapterHash: zeroHash, blocks, records: 10, states: 1, method: "efim-dual" as const };

it("keeps gradients as they are where they fit", () => {
  expect(shapeOf(training, 4 * 10 * 4_100)).toBeNull();
  expect(shaped(blocks, null)).toEqual(blocks);
});

it("projects the blocks that are wider than what fits, to whole groups of columns", () => {
  const shape = shapeOf(training, 4 * 10 * 4_100 - 1)!;
  expect(shape.columns).toBe(2_048);
  expect(shaped(blocks, shape).map(({ columns }) => columns)).toEqual([2_048, 100]);
  const bytes = 4 * 10 * (2_048 + 100);
  expect(bytes).toBeLessThan(4 * 10 * 4_100);
  expect(shapeOf({ ...training, states: 2 }, 4 * 10 * 4_100)!.columns).toBe(1_024);
});

it("refuses what ranks no records: too few columns, and Adam's steps of projected gradients", () => {
  expect(() => shapeOf(training, 4 * 10 * 511)).toThrow(StoreTooLargeError);
  expect(shapeOf(training, 4 * 10 * 512)!.columns).toBe(256);
  expect(() => shapeOf({ ...training, method: "less" }, 4 * 10 * 4_000)).toThrow(StoreTooLargeError);
});

it("projects for the primal form whatever fits, one byte an entry, to a bounded square", () => {
  const primal = { ...training, method: "efim-primal" } as const;
  expect(encodingOf("efim-primal")).toBe("int8");
  expect(shapeOf(primal)!.columns).toBe(primalColumnsMax);
  expect(shapeOf(primal, 10 * 1_024)!.columns).toBe(512);
  expect(shapeOf({ ...primal, records: 100_000 })!.columns).toBe(primalColumnsMax);
  expect(() => shapeOf({ ...primal, records: 100_000 }, 100_000 * 511)).toThrow(StoreTooLargeError);
});
