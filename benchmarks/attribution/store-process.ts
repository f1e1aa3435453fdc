/** A process that opens a store and answers queries: `<folder> <columns> <rounds>`. Says CPU time of each and its peak memory. */
import { readFileSync } from "node:fs";
import { openStore } from "#engine/gradient-store/store";
import { cpuMs } from "../report.ts";
import { adapterHash, methodHash, pattern } from "./made-up-gradients.ts";

const [folder = "", columns = 0, rounds = 0] = process.argv
  .slice(2)
  .map((given, i) => (i === 0 ? given : Number(given))) as [string, number, number];
const store = await openStore(folder, { adapterHash, methodHash });
const values = pattern(columns);
const scores = new Float64Array(store.recordCount);
const times: number[] = [];
for (let round = 0; round < rounds; round++) {
  const query = values.subarray(round, round + columns);
  times.push(await cpuMs(() => store.scores([query], scores)));
}
// Not maxRSS: Linux lets a spawned process begin with its parent's.
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
console.log(JSON.stringify({ times, records: store.recordCount, bytes: peakKiB * 1024 }));
