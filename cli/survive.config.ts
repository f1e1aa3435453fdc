import { defineConfig } from "vitest/config";

/** The slow kill tests, one at a time: most run the whole demo. */
export default defineConfig({
  test: {
    include: ["cli/demo/*.slow.test.ts", "factory/*.slow.test.ts", "engine/**/*.slow.test.ts"],
    fileParallelism: false,
    maxConcurrency: 1,
    testTimeout: 600_000,
    hookTimeout: 900_000,
  },
});
