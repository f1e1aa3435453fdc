/** Ours of 25-train-memory.ts: `node train-memory-worker.ts <model> <adapter>`, three steps. */
import { readFileSync } from "node:fs";
import { readAdapter } from "#runtime/index";
import { adamWDefaults } from "#runtime/training/adamw";
import { packInOrder } from "#runtime/training/packing";
import { openTrainer } from "#runtime/training/trainer";
import { readModelFolder } from "#runtime/weights/model-folder";
import { randomTokens } from "./random-model.ts";

const [rowTokens, rowCount] = [128, 4];
const [model = "", adapter = ""] = process.argv.slice(2);
const options = { optimizer: adamWDefaults, gradientNormMax: 1 };
const trainer = await openTrainer(await readModelFolder(model), await readAdapter(adapter), options);
const tokenIds = randomTokens(rowCount * rowTokens);
const examples = Array.from({ length: rowCount }, (_, row) => ({
  tokenIds: tokenIds.slice(row * rowTokens, (row + 1) * rowTokens),
  answerFrom: 1,
}));
const batches = packInOrder(examples, { rowTokens, rowCount });
for (let step = 0; step < 3; step++) await trainer.step(batches, 1e-4);
const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
console.log(JSON.stringify({ peakMiB: peakKiB / 1024 }));
