/** The other peer of 20-load.ts: `node first-token-llama-cpp.ts <GGUF file> <folder with node-llama-cpp>`, from process start to the first token. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modelPath = "", installed = ""] = process.argv.slice(2);
const entry = createRequire(join(installed, "package.json")).resolve("node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: 1,
  logLevel: LlamaLogLevel.error,
  skipDownload: true,
});
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 256, batchSize: 128, threads: 1 });
const sequence = context.getSequence();
const promptTokenIds = Array.from({ length: 128 }, (_, index) => (index * 37) % 4000);
let tokenId: number | undefined;
for await (const token of sequence.evaluate(promptTokenIds, { temperature: 0 })) {
  tokenId = token;
  break;
}
const { user, system } = process.cpuUsage();
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
console.log(JSON.stringify({ tokenId, cpuMs: (user + system) / 1000, peakMiB: peakKiB / 1024 }));
process.exit(0);
