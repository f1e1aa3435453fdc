/**
 * `node print-training.ts <folder> <device>` prints, as JSON, what training and gradients by example give on a
 * device, and then what an open model with the trained adapter says there.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdapter, openGradients, openModel, train, writeAdapter } from "#runtime/index";

const [folder = "", name] = process.argv.slice(2);
const device = name === "webgpu" ? name : "cpu";
const examples = Array.from({ length: 3 }, (_, index) => ({
  tokenIds: Array.from({ length: 9 + index }, (_value, at) => 20 + ((index * 7 + at * 3) % 200)),
  answerFrom: 2,
}));
const targetModules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const start = await createAdapter(folder, { rank: 4, alpha: 8, targetModules, seed: 5n });
const { adapter, losses } = await train(folder, start, {
  examples,
  schedule: { kind: "constant", peak: 1e-2, warmupSteps: 0, stepsMax: 2 },
  rowTokens: 32,
  rowCount: 2,
  runsPerStep: 1,
  seed: 3n,
  device,
});
const reductions = [{ kind: "full" }, { kind: "projected", rows: 2, columns: 8, seed: 1n }] as const;
const gradients = [];
for (const reduction of reductions) {
  await using opened = await openGradients(folder, adapter, reduction, { device });
  for (const { loss, factors } of await opened.of(examples)) {
    gradients.push([loss, ...[...factors.values()].flatMap((values) => [...values])]);
  }
}
const parent = await mkdtemp(join(tmpdir(), "tributary-training-"));
await writeAdapter(join(parent, "adapter"), adapter);
await using model = await openModel(folder, { device, adaptableModules: targetModules });
await model.loadAdapter("trained", join(parent, "adapter"));
const request = { promptTokenIds: [20, 23, 26], tokensMax: 4, temperature: 0, seed: 0n };
const generations = await Promise.all(
  [null, "trained", null, "trained"].map((follow) => model.generate({ ...request, adapter: follow })),
);
await rm(parent, { recursive: true });
console.log(JSON.stringify({ losses, gradients, generations }));
