/** Ours of 20-load.ts: `node first-token-worker.ts <folder> <weightMode>`, from process start to the first token. */
import { readFileSync } from "node:fs";
import { openModel } from "#runtime/index";

const [folder = "", mode] = process.argv.slice(2);
await using model = await openModel(folder, { weightMode: mode === "mapped" ? "mapped" : "packed" });
const promptTokenIds = Array.from({ length: 128 }, (_, index) => (index * 37) % 4000);
const { tokenIds } = await model.generate({ promptTokenIds, tokensMax: 1, temperature: 0, seed: 0n });
const { user, system } = process.cpuUsage();
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
console.log(JSON.stringify({ tokenId: tokenIds[0], cpuMs: (user + system) / 1000, peakMiB: peakKiB / 1024 }));
