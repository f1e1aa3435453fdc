import { defineConfig } from "vitest/config";

/** The soak and the exhaustive fuzzing: minutes of CPU, so not in the suite. `npm run test:slow -w eigenda`. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["src/**/*.slow.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 3_600_000,
    hookTimeout: 180_000,
  },
});
