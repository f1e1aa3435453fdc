import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { buildStore } from "#engine/gradient-store/build";
import { openStore } from "#engine/gradient-store/store";
import { pcg32 } from "#runtime/inference/sampler";
import { alone, type Benchmark, cpuMs, median, type Row } from "../report.ts";

const rounds = 15;
const seed = 4n;
const sizes = [
  { records: 10_000, columns: 4_096, msMax: 50 },
  { records: 1_000_000, columns: 1_024, msMax: 300 },
] as const;

export const benchmark: Benchmark = {
  name: "influence",
  title: "One query against a store of gradients, after the query's own gradient",
  conditions: `int8 rows in memory, one thread, CPU time, median of ${rounds} queries, seed ${seed}; memory is the whole process after the queries, what the build left collected`,
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
    const description = {
      engineVersion: 1,
      adapterHash: `0x${"00".repeat(32)}`,
      content: "gradients" as const,
      layout: { encoding: "int8" as const, blocks: [{ name: "all", columns }] },
      recordsPerShard: 10_000,
    };
    const next = pcg32(seed);
    const pattern = Float32Array.from({ length: columns * 2 }, () => next() / 2 ** 31 - 1);
    await buildStore({
      folder,
      description,
      recordIds: Array.from({ length: records }, (_, i) => `record ${i}`),
      gradientsOf: async (ids) =>
        ids.map((id) => [pattern.subarray(Number(id.slice(7)) % columns).subarray(0, columns)]),
    });
    const store = await openStore(folder, description);
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const query = pattern.subarray(round, round + columns);
      times.push(await cpuMs(() => store.scores([query])));
    }
    collectGarbage();
    return { ms: median(times), gigabytes: process.memoryUsage.rss() / 1e9 };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
