import { defineConfig } from "vitest/config";

/** Runs what is too slow for every run of the tests: training on a software GPU, and a long session of training. */
export default defineConfig({
  test: { include: ["runtime/**/*.slow.test.ts"], pool: "forks", testTimeout: 900_000 },
});
