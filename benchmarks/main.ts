/** `npm run bench` lists the benchmarks; `npm run bench -- <name> [--json]` runs one. Files stand in the order of the hops. */
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { type Benchmark, print } from "./report.ts";

const names = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .filter((file) => /^\d\d-.*\.ts$/.test(basename(file)))
  .sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
const [wanted] = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const benchmarks: Benchmark[] = [];
for (const name of names) benchmarks.push((await import(`./${name}`)).benchmark);

if (wanted === undefined) {
  for (const { name, title } of benchmarks) console.log(`${name.padEnd(10)} ${title}`);
} else {
  const benchmark = benchmarks.find(({ name }) => name === wanted);
  if (benchmark === undefined) {
    console.error(
      `No benchmark is named ${wanted}. There are: ${benchmarks.map(({ name }) => name).join(", ")}.`,
    );
    process.exit(2);
  }
  const rows = await benchmark.run();
  print(benchmark, rows);
  if (process.argv.includes("--json")) console.log(JSON.stringify({ name: benchmark.name, rows }));
  process.exit(0);
}
