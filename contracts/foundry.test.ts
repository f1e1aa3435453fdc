/** Foundry's tests as tests of this suite, and the generated files against what made them. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { forge, rootDir, run } from "./forge.ts";

type Result = { status: string; reason: string | null; counterexample: unknown };
type Report = Record<string, { test_results: Record<string, Result> }>;

/** A run with fewer tests than this lost some: a renamed folder or suffix would otherwise pass in silence. */
const testCountMin = 281;

// While the tests are collected: vitest can only name what it knows by then.
const { stdout, stderr } = await forge(["test", "--root", ".", "--json"]);
const report = parse(stdout);

it("compiles, and runs every test of the contracts", () => {
  expect(report, stderr.slice(-4_000)).not.toBeNull();
  const count = Object.values(report!).flatMap((suite) => Object.keys(suite.test_results)).length;
  expect(count).toBeGreaterThanOrEqual(testCountMin);
});

for (const [suiteName, suite] of Object.entries(report ?? {})) {
  describe(suiteName.split(":").at(-1)!, () => {
    for (const [signature, { status, reason, counterexample }] of Object.entries(suite.test_results)) {
      it(titleOf(signature), () => {
        expect(status, `${reason} ${JSON.stringify(counterexample)}`).toBe("Success");
      });
    }
  });
}

it("costs the gas that is committed, and no more", async () => {
  const args = ["test", "--root", ".", "--match-contract", "GasTest"];
  const check = ["--gas-snapshot-check", "true", "--gas-snapshot-emit", "false"];
  const finished = await forge([...args, ...check], { FOUNDRY_PROFILE: "gas" });
  expect(finished.status, finished.stdout + finished.stderr).toBe(0);
});

it.each([
  ["ABIs and bytecode", "contracts/abi.ts"],
  ["vectors of leaves", "contracts/test/make-leaf-vectors.ts"],
  ["vectors of certificates", "contracts/test/make-certificate-vectors.ts"],
])("has committed the generated %s", async (_, script) => {
  const finished = await run(process.execPath, [join(rootDir, script), "--check"]);
  expect(finished.status, finished.stderr).toBe(0);
});

/** @returns null where forge printed no report: the sources do not compile. */
function parse(text: string): Report | null {
  const start = text.indexOf("{");
  if (start === -1) return null;
  const parsed = JSON.parse(text.slice(start)) as Report;
  return Object.values(parsed).every((suite) => "test_results" in suite) ? parsed : null;
}

/** `testFuzz_a_slash_conserves(uint128)` → "a slash conserves (fuzz)" */
function titleOf(signature: string): string {
  const [, kind, words] = /^(test|testFuzz|invariant)_(\w+)/.exec(signature) ?? [];
  if (words === undefined) return signature; // setUp()
  const suffix = { testFuzz: " (fuzz)", invariant: " (invariant)" }[kind!] ?? "";
  return `${words.replaceAll("_", " ")}${suffix}`;
}
