/**
 * Branch and line coverage of contracts/src by Foundry's tests, with every uncovered place named:
 *
 *   node contracts/coverage.ts      run the tests instrumented, print the table, fail below `branchPercentMin`
 *
 * The build is not optimised, but for the compiler's own Yul (see `contracts/solc`), and lies in folders of its own, so
 * that it never meets the real one.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { invariant } from "#schema/errors";
import { forge, rootDir } from "./forge.ts";

const branchPercentMin = 95;
const folder = join("contracts", "cache", "coverage");
const reportPath = join(folder, "lcov.info");

type File = { path: string; lines: Map<number, number>; branches: { line: number; isTaken: boolean }[] };

mkdirSync(join(rootDir, folder), { recursive: true });
const finished = await forge(["coverage", "--root", ".", "--report", "lcov", "--report-file", reportPath], {
  FOUNDRY_OUT: join(folder, "out"),
  FOUNDRY_CACHE_PATH: join(folder, "cache"),
  // Places are reached or not: more runs only take longer.
  FOUNDRY_FUZZ_RUNS: "32",
  FOUNDRY_INVARIANT_RUNS: "3",
});
process.stderr.write(finished.stderr.slice(-2_000));
invariant(finished.status === 0, `the instrumented tests pass: ${finished.stdout.slice(-2_000)}`);

const files = parse(readFileSync(join(rootDir, reportPath), "utf8")).filter(({ path }) =>
  path.startsWith("contracts/src/"),
);
for (const { path, lines, branches } of files) {
  const [lineCount, hitLines] = [lines.size, [...lines.values()].filter((hits) => hits > 0).length];
  const taken = branches.filter(({ isTaken }) => isTaken).length;
  const name = path.slice("contracts/src/".length).padEnd(32);
  process.stdout.write(`${name} lines ${hitLines}/${lineCount}, branches ${taken}/${branches.length}\n`);
  for (const [line, hits] of lines) if (hits === 0) process.stdout.write(`  ${path}:${line} not run\n`);
  for (const { line, isTaken } of branches)
    if (!isTaken) process.stdout.write(`  ${path}:${line} a branch not taken\n`);
}
const allLines = files.flatMap(({ lines }) => [...lines.values()]);
const all = files.flatMap(({ branches }) => branches);
invariant(all.length > 0, `${reportPath} is about contracts/src`);
const linePercent = (100 * allLines.filter((hits) => hits > 0).length) / allLines.length;
const percent = (100 * all.filter(({ isTaken }) => isTaken).length) / all.length;
process.stdout.write(`lines ${linePercent.toFixed(1)} % of ${allLines.length}; `);
process.stdout.write(`branches ${percent.toFixed(1)} % of ${all.length}, at least ${branchPercentMin} %\n`);
if (percent < branchPercentMin) process.exitCode = 1;

/** The records of lcov's tracefile that we use: SF (file), DA (line, hits), BRDA (line, block, branch, hits or "-"). */
function parse(text: string): File[] {
  const parsed: File[] = [];
  for (const row of text.split("\n")) {
    const [, kind, value] = /^(SF|DA|BRDA):(.*)$/.exec(row) ?? [];
    if (kind === "SF") parsed.push({ path: value!, lines: new Map(), branches: [] });
    const fields = value?.split(",") ?? [];
    if (kind === "DA") parsed.at(-1)!.lines.set(Number(fields[0]), Number(fields[1]));
    if (kind === "BRDA") {
      const isTaken = fields[3] !== "-" && fields[3] !== "0";
      parsed.at(-1)!.branches.push({ line: Number(fields[0]), isTaken });
    }
  }
  return parsed;
}
