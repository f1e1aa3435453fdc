/**
 * `node print-scores.ts <folder> <weightMode> <threads,…> [adapter folder]` prints what a model computes with each
 * number of threads, every bit of it, as JSON. With an adapter every second request follows it. With the first number
 * of threads each request is also computed in batches of 2 to 8, with the others all are in one: the process fails
 * where company changes a bit.
 */
import { deepStrictEqual } from "node:assert/strict";
import { openModel } from "#runtime/index";
import { weightModes } from "./session-options.ts";

const [folder = "", mode, threadCounts = "1", adapterFolder] = process.argv.slice(2);
const weightMode = weightModes.find((known) => known === mode) ?? "packed";
const draw = (length: number, salt: number) =>
  Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 300);
const requests = Array.from({ length: 8 }, (_, index) => ({
  adapter: adapterFolder === undefined || index % 2 === 0 ? null : "own",
  promptTokenIds: draw(1 + ((index * 23) % 100), index),
  answerTokenIds: draw(1 + (index % 5), index + 1),
}));
const settings = { temperature: 0.7, topP: 0.9 };
const wanted = requests.map(({ adapter, promptTokenIds }, index) => ({
  ...settings,
  adapter,
  promptTokenIds,
  tokensMax: 3 + (index % 3),
  seed: BigInt(index),
}));

const printed: string[] = [];
for (const threads of threadCounts.split(",").map(Number)) {
  const adaptableModules = adapterFolder === undefined ? [] : ["q_proj", "down_proj"];
  await using model = await openModel(folder, { weightMode, threads, adaptableModules });
  if (adapterFolder !== undefined) await model.loadAdapter("own", adapterFolder);
  const score = (count: number) => model.logProb(requests.slice(0, count));
  const generate = (count: number) =>
    Promise.all(wanted.slice(0, count).map((request) => model.generate(request)));
  const [logProbs, generations] = [await score(8), await generate(8)];
  if (printed.length === 0) {
    for (let count = 1; count < 8; count++) {
      deepStrictEqual(await score(count), logProbs.slice(0, count));
      deepStrictEqual(await generate(count), generations.slice(0, count));
      deepStrictEqual(await model.logProb(requests.slice(count, count + 1)), [logProbs[count]]);
    }
  }
  const profile = model.profile(adapterFolder === undefined ? [] : ["own"]).hash;
  printed.push(JSON.stringify({ profile, logProbs, generations }));
}
console.log(JSON.stringify(printed));
