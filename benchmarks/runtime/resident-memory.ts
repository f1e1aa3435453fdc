/**
 * A process that opens models and says how much its resident memory grew: `<modules, comma separated> <adapter
 * folders, or -> <model folders…>`. Each model answers one prompt and one more token, so that its graphs are loaded.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openModel } from "#runtime/index";
import { randomTokens } from "./random-model.ts";

const [modules = "", adapters = "-", ...models] = process.argv.slice(2);
const adaptableModules = modules.split(",").filter((name) => name !== "");
const before = process.memoryUsage.rss();
const opened = [];
for (const model of models) {
  const handle = await openModel(model, { rowsMax: 8, adaptableModules });
  const names = adapters === "-" ? [] : await readdir(adapters);
  for (const name of names) await handle.loadAdapter(name, join(adapters, name));
  const prompt = { promptTokenIds: randomTokens(32), tokensMax: 2, temperature: 0, seed: 0n };
  await handle.generate({ ...prompt, adapter: names[0] });
  opened.push(handle);
}
console.log(JSON.stringify({ models: opened.length, bytes: process.memoryUsage.rss() - before }));
for (const handle of opened) await handle.close();
