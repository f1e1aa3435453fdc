import { createRequire } from "node:module";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files of more than a minute, about in the order of their time: begun first, so that both workers end together. */
const longest = [
  "cli/demo/eips.test.ts",
  "runtime/inference/determinism.test.ts",
  "cli/demo/demo.test.ts",
  "engine/pipeline.test.ts",
  "settlement/lifecycle.test.ts",
  "settlement/unavailable.test.ts",
  "indexer/test/disturbance.test.ts",
  "cli/verify.test.ts",
  "cli/up/up.test.ts",
  "contracts/vectors.test.ts",
  "indexer/test/life.test.ts",
  "runtime/weights/quantise-folder.test.ts",
  "eigenda/src/cli/cli.test.ts",
  "engine/estimators.test.ts",
  "serving/node.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex((name) => moduleId.endsWith(`/${name}`));
      return found < 0 ? longest.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

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
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
  },
});
