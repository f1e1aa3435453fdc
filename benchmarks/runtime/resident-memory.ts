/**
 * A process that opens models and says how much its resident memory grew: `<modules, comma separated> <adapter
 * folders, or -> <model folders…>`. Each model answers one prompt and one more token, so that its graphs are loaded.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openBatch, readAdapter } from "#runtime/index";
import { randomTokens } from "./random-model.ts";

const [modules = "", adapters = "-", ...models] = process.argv.slice(2);
const adaptableModules = modules.split(",").filter((name) => name !== "");
const before = process.memoryUsage.rss();
const opened = [];
for (const model of models) {
  const batch = await openBatch(model, { rowsMax: 8, adaptableModules });
  const keys = adapters === "-" ? [] : await readdir(adapters);
  for (const key of keys) batch.bank.add(key, await readAdapter(join(adapters, key)));
  const { sequence } = await batch.start(keys[0] ?? null, randomTokens(32));
  await batch.step(new Map([[sequence, 5]]));
  opened.push(batch);
}
console.log(JSON.stringify({ models: opened.length, bytes: process.memoryUsage.rss() - before }));
