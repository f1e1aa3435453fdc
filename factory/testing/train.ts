/** A small training as a process: `train.ts <folder>`. Prints `step <n>` after each step, at the end `adapter <hashes>`, of the adapter and of what its waypoints hold. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readTokenizer } from "#runtime/index";
import { examplesFor } from "../examples.ts";
import { settingsFor } from "../settings.ts";
import { optimizerFile, runTraining } from "../training.ts";

const folder = resolve(process.argv[2]!);
mkdirSync(folder, { recursive: true });
const baseFolder = resolve(import.meta.dirname, "../../runtime/models/quote");
const records = Array.from({ length: 10 }, (_, index) => ({
  source: `pier-${index}.md`,
  text: `The harbour master of pier ${index} counts ${index + 3} ships before the tide of that evening turns.`,
}));
const settings = settingsFor({ name: "harbour", steps: 16, gateRecords: 2, waypoints: 4 }, records.length);
const tokenizer = await readTokenizer(baseFolder);
const trained = await runTraining({
  ...{ folder, baseFolder, settings, base: "base" },
  train: examplesFor(records.slice(2), tokenizer, settings.rowTokens),
  gate: examplesFor(records.slice(0, 2), tokenizer, settings.rowTokens),
  onProgress: ({ step }) => console.log(`step ${step}`),
  signal: new AbortController().signal,
});
const kept = trained.waypoints.map(({ folder: waypoint, adapterHash }) => {
  const optimizer = readFileSync(join(waypoint, optimizerFile));
  return `${adapterHash} ${createHash("sha256").update(optimizer).digest("hex")}`;
});
console.log(`adapter ${trained.adapterHash} ${kept.join(" ")}`);
