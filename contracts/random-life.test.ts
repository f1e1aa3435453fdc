/** The logs against storage after a life that nobody planned; `random-life.slow.test.ts` is the same, longer. */
import { expect, it } from "vitest";
import { liveAtRandom } from "./test/random/world.ts";

/** Another by TEST_SEED. */
const seed = process.env.TEST_SEED ?? "1";
const steps = 400;

it(`rebuilds every storage from the logs of ${steps} random steps (TEST_SEED=${seed})`, async () => {
  const { differences, getterCount, tally } = await liveAtRandom({ seed, steps });
  expect(differences).toEqual([]);
  expect(getterCount).toBeGreaterThan(200);
  const [done, refused] = [tally.done, tally.refused].map((counts) =>
    [...counts.values()].reduce((sum, count) => sum + count, 0),
  );
  expect(done).toBeGreaterThan(refused! / 2);
}, 300_000);
