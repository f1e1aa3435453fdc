import { defineConfig } from "vitest/config";

/** Tests share two cores with Postgres, anvil and model workers: two files at a time, generous timeouts, no retries. */
export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/*.slow.test.ts", ".tributary/**", "contracts/out/**"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
  },
});
