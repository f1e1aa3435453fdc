/** `npm run contracts:life`: lives of thousands of steps, with seeds that were never used before; each is printed. */
import { expect, it } from "vitest";
import { liveAtRandom } from "./test/random/world.ts";

const seeds = process.env.TEST_SEED?.split(",") ?? [1, 2, 3].map((i) => `${Date.now()}/${i}`);
const steps = Number(process.env.TEST_STEPS ?? 3_000);

it.each(seeds)("rebuilds every storage from the logs of a long life, TEST_SEED=%s", async (seed) => {
  const { differences, getterCount, tally } = await liveAtRandom({ seed, steps });
  console.log(`seed ${seed}: ${getterCount} getters`);
  for (const [what, counts] of Object.entries(tally)) {
    console.log(what, Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))));
  }
  expect(differences).toEqual([]);
});
