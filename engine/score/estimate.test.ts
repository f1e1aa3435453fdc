import fc from "fast-check";
import { keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import { sum } from "#schema/apportion";
import { isCausal } from "#schema/estimators";
import { type Estimated, type Estimator, estimate, estimators, needsSeed } from "./estimate.ts";
import { quantise } from "./quantise.ts";
import { playersMax, shapley } from "./shapley.ts";

const seed = keccak256(toHex("estimate test"));

/** Plays a game by an estimator; `asked` collects the coalitions it wanted. */
function play(estimator: Estimator, similarities: readonly bigint[], game: (mask: number) => bigint) {
  const estimating = estimate(estimator, { similaritiesMicro: similarities, seed });
  const asked: number[] = [];
  let step = estimating.next();
  while (!step.done) {
    asked.push(...step.value);
    step = estimating.next(step.value.map(game));
  }
  return { ...(step.value as Estimated), asked };
}

/** Passage i is worth worths[i]. */
const additive = (worths: readonly bigint[]) => (mask: number) =>
  sum(worths.map((worth, i) => ((mask >> i) & 1 ? worth : 0n))) - 50_000_000n;

const worths = fc.array(fc.bigInt({ min: -1_000_000n, max: 1_000_000n }), { maxLength: 9 });
const flat = (players: number) => new Array<bigint>(players).fill(1n);

describe("an estimator", () => {
  it("by Shapley values is exact for few players and samples above, always with what the context gave", () => {
    fc.assert(
      fc.property(worths, (given) => {
        const found = play("shapley", flat(given.length), additive(given));
        expect(found.influencesMicro).toEqual(given);
        expect(sum(found.influencesMicro)).toBe(found.fullMicro - found.emptyMicro);
        const isSampled = given.length > playersMax;
        expect(found.estimator).toBe(isSampled ? "shapley-permutations" : "shapley-exact");
        expect(needsSeed("shapley", given.length)).toBe(isSampled);
      }),
    );
    const synergy = (mask: number) => (mask === 7 ? 9n : 0n) - 20n;
    expect(play("shapley", flat(3), synergy).influencesMicro).toEqual(
      shapley(Array.from({ length: 8 }, (_, mask) => synergy(mask))),
    );
  });

  it("by leaving one out asks n + 2 values, and gives evidence that stands twice nothing", () => {
    const twice = (mask: number) => (mask === 0 ? -9n : -1n);
    const found = play("leave-one-out", flat(2), twice);
    expect(found).toMatchObject({ influencesMicro: [0n, 0n], emptyMicro: -9n, fullMicro: -1n });
    expect(found.asked).toEqual([0, 3, 2, 1]);
  });

  it("by a surrogate finds the passage that counts", () => {
    const game = (mask: number) => quantise((mask & 4 ? 3 : 0) - 40);
    const { influencesMicro } = play("surrogate", flat(5), game);
    expect(influencesMicro.map((x) => (x < 0n ? -x : x) > 2_500_000n)).toEqual([
      false,
      false,
      true,
      false,
      false,
    ]);
  });

  it("by similarity divides what was gained, nothing where nothing was, and says it is not causal", () => {
    const gains = (gain: bigint) => (mask: number) => (mask === 3 ? gain : 0n) - 10n;
    expect(play("similarity", [3n, 1n], gains(8n)).influencesMicro).toEqual([6n, 2n]);
    expect(play("similarity", [3n, -1n], gains(-2n)).influencesMicro).toEqual([0n, 0n]);
    expect(estimators.similarity.isCausal).toBe(false);
  });

  it("of a black box asks nothing, and gives data half of the fee where retrieval found anything", () => {
    const never = () => expect.unreachable();
    const found = play("black-box", [30n, 10n], never);
    expect(found).toMatchObject({ emptyMicro: -1_000_000n, fullMicro: -500_000n });
    expect(found.influencesMicro).toEqual([375_000n, 125_000n]);
    expect(play("black-box", [0n, -1n], never)).toMatchObject({ fullMicro: -1_000_000n });
    expect(play("black-box", [], never).influencesMicro).toEqual([]);
    expect(estimators["black-box"].isCausal).toBe(false);
  });

  it.each(Object.keys(estimators) as Estimator[])(
    "says by its name whether it is causal: %s",
    (estimator) => {
      const found = play(estimator, [1n], additive([5n]));
      expect(isCausal(found.estimator)).toBe(estimators[estimator].isCausal);
      const isMeasured = !["surrogate", "similarity", "black-box"].includes(estimator);
      expect(found.standardErrorsMicro).toEqual([isMeasured ? 0n : null]);
    },
  );

  it.each(Object.keys(estimators) as Estimator[])("survives no passages at all: %s", (estimator) => {
    const found = play(estimator, [], () => -5n);
    expect(found.influencesMicro).toEqual([]);
    expect(found.fullMicro).toBe(found.emptyMicro);
  });
});
