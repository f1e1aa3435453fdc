import { defineConfig } from "vitest/config";

/** Runs what is too slow for every run of the tests: long random lives of the contracts. */
export default defineConfig({
  test: { include: ["contracts/**/*.slow.test.ts"], pool: "forks", testTimeout: 1_800_000 },
});
