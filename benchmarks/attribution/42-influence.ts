import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildStore } from "#engine/gradient-store/build";
import { alone, type Benchmark, median, type Row } from "../report.ts";
import { adapterHash, methodHash, pattern } from "./made-up-gradients.ts";

const rounds = 15;
const sizes = [
  { records: 10_000, columns: 4_096, msMax: 50 },
  { records: 1_000_000, columns: 1_024, msMax: 300 },
] as const;

export const benchmark: Benchmark = {
  name: "influence",
  title: "One query against a store of gradients, after the query's own gradient",
  conditions: `int8 rows in memory, one thread, CPU time, median of ${rounds} queries, seed 4; memory is the peak of a process that opens the store, checks every checksum and answers the queries`,
  run: async () => {
    const rows: Row[] = [];
    for (const { records, columns, msMax } of sizes) {
      const { ms, gigabytes } = await measure(records, columns);
      rows.push(alone(`query, ${records} records × ${columns}`, "ms", ms, { max: msMax }));
      rows.push(alone(`process, ${records} records × ${columns}`, "GB", gigabytes, { max: 1.2 }));
    }
    return rows;
  },
};

async function measure(records: number, columns: number): Promise<{ ms: number; gigabytes: number }> {
  const folder = await mkdtemp(join(tmpdir(), "benchmark-store-"));
  try {
    const values = pattern(columns);
    await buildStore({
      folder,
      description: {
        methodHash,
        adapterHash,
        content: "gradients",
        layout: { encoding: "int8", blocks: [{ name: "all", columns }] },
        recordsPerShard: 10_000,
      },
      recordIds: Array.from({ length: records }, (_, i) => `record ${i}`),
      gradientsOf: async (ids) =>
        ids.map((id) => [values.subarray(Number(id.slice(7)) % columns).subarray(0, columns)]),
    });
    const script = join(import.meta.dirname, "store-process.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [
      script,
      folder,
      `${columns}`,
      `${rounds}`,
    ]);
    const { times, bytes } = JSON.parse(stdout);
    return { ms: median(times), gigabytes: bytes / 1e9 };
  } finally {
    await rm(folder, { recursive: true });
  }
}
