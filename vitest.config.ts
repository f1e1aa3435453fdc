import { createRequire } from "node:module";
import { defineConfig } from "vitest/config";

/** Tests share two cores with Postgres, anvil and model workers: two files at a time, generous timeouts, no retries. */
export default defineConfig({
  // Node and the packages load graphql's CommonJS build; without this, tests would get a second one beside it.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve("graphql") }] },
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/*.slow.test.ts", ".tributary/**", "contracts/out/**"],
    env: { NO_COLOR: "1" },
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
  },
});
