/**
 * `npm test`: format and lint, types, generated files, then every test. Prints `N passed, N failed` last; exit code 1 if
 * anything failed or nothing ran.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Count = { passed: number; failed: number };

const only = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "tributary-test-"));
const counts: Count[] =
  only.length > 0
    ? []
    : [check("format and lint", "biome", ["check", "--error-on-warnings"]), check("types", "tsc", [])];
counts.push(runTests(only));
rmSync(folder, { recursive: true });

const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
console.log(`${passed} passed, ${failed} failed`);

function check(title: string, command: string, args: string[]): Count {
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  console.log(`${status === 0 ? "✓" : "✗"} ${title}`);
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Runs vitest with its readable reporter and counts from its JSON report; a crash of the runner counts as a failure. */
function runTests(filters: string[]): Count {
  const report = join(folder, "vitest.json");
  const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...filters];
  const { status } = spawnSync("vitest", args, { stdio: "inherit" });
  const { numPassedTests, numFailedTests, numFailedTestSuites } = readReport(report);
  const failed = Math.max(numFailedTests, numFailedTestSuites > 0 ? 1 : 0, status === 0 ? 0 : 1);
  return { passed: numPassedTests, failed };
}

function readReport(path: string): {
  numPassedTests: number;
  numFailedTests: number;
  numFailedTestSuites: number;
} {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    console.error(`The test runner left no report: ${String(cause)}`);
    return { numPassedTests: 0, numFailedTests: 1, numFailedTestSuites: 1 };
  }
}
