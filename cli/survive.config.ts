import { defineConfig } from "vitest/config";

/** The slow kill tests, one at a time: each runs the whole demo. */
export default defineConfig({
  test: { include: ["cli/demo/*.slow.test.ts"], fileParallelism: false, maxConcurrency: 1 },
});
