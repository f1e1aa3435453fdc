/** `node print-bits.ts <folder> <weightMode> <threads> [device]` prints what a model computes, every bit of it, as JSON. */
import { openModel } from "#runtime/index";

const [folder = "", mode, threads, device] = process.argv.slice(2);
const weightMode = mode === "mapped" ? "mapped" : "packed";
await using model = await openModel(folder, {
  weightMode,
  threads: Number(threads),
  device: device === "webgpu" ? device : "cpu",
});
const draw = (length: number, salt: number) =>
  Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 300);
const requests = Array.from({ length: 12 }, (_, index) => ({
  promptTokenIds: draw(1 + ((index * 23) % 150), index),
  answerTokenIds: draw(1 + (index % 9), index + 1),
}));
const logProbs = device === "webgpu" ? [] : await model.logProb(requests);
const generations = await Promise.all(
  requests.map(({ promptTokenIds }, index) =>
    model.generate({ promptTokenIds, tokensMax: 5 + index, temperature: 0.7, seed: BigInt(index) }),
  ),
);
console.log(JSON.stringify({ profile: model.profile().hash, logProbs, generations }));
